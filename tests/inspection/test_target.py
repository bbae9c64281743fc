from pathlib import Path

import pytest

from meshpki.errors import UsageError
from meshpki.inspection.target import FileTarget, ObjectTarget, Target, target_of

FILES = {Path("chain.pem"), Path("reviews"), Path("secret/cacerts"), Path("/etc/ssl/roots.crt")}


@pytest.mark.parametrize(
    ("word", "namespace", "target"),
    [
        ("-", "", FileTarget(Path("-"))),
        ("chain.pem", "", FileTarget(Path("chain.pem"))),
        ("/etc/ssl/roots.crt", "", FileTarget(Path("/etc/ssl/roots.crt"))),
        ("reviews", "", FileTarget(Path("reviews"), "pod/reviews")),
        ("reviews", "bookinfo", ObjectTarget("Pod", "bookinfo", "reviews")),
        ("reviews-v1-5d9-x", "", ObjectTarget("Pod", "", "reviews-v1-5d9-x")),
        ("pod/reviews", "", ObjectTarget("Pod", "", "reviews")),
        ("po/reviews", "bookinfo", ObjectTarget("Pod", "bookinfo", "reviews")),
        ("secret/cacerts", "", FileTarget(Path("secret/cacerts"), "secret/cacerts")),
        ("secret/cacerts", "istio-system", ObjectTarget("Secret", "istio-system", "cacerts")),
        ("cm/istio-ca-root-cert", "", ObjectTarget("ConfigMap", "", "istio-ca-root-cert")),
        ("ConfigMap/spire-bundle", "spire-system", ObjectTarget("ConfigMap", "spire-system", "spire-bundle")),
    ],
)
def test_a_word_means_a_file_that_exists_then_an_object(word: str, namespace: str, target: Target) -> None:
    assert target_of(word, namespace, FILES.__contains__) == target


def test_base64_that_was_pasted_is_no_path_and_no_object() -> None:
    with pytest.raises(UsageError) as caught:
        target_of("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t" * 400, "")
    assert (caught.value.code, len(caught.value.where)) == ("MPK-381", 83)


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("missing.pem", "MPK-381"),
        ("../missing", "MPK-381"),
        ("node/kind-worker", "MPK-381"),
        ("pod/", "MPK-381"),
        ("pod/a/b", "MPK-381"),
        ("UPPER", "MPK-381"),
        ("a\x1b[31m", "MPK-381"),
        ("", "MPK-381"),
        ("secret/other", "MPK-383"),
    ],
)
def test_a_word_that_means_nothing_or_a_secret_without_its_namespace_is_refused(word: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        target_of(word, "", FILES.__contains__)
    assert caught.value.code == code


def test_a_secret_is_never_meant_by_a_name_alone() -> None:
    assert target_of("cacerts", "istio-system", FILES.__contains__) == ObjectTarget("Pod", "istio-system", "cacerts")
