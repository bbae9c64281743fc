import base64
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object
from meshpki.errors import MeshpkiError, PreconditionError, UsageError
from meshpki.inspection import LIMIT, FileTarget, Inspection, ObjectTarget, inspect
from meshpki.inspection.model import Role
from tests.support import certificates as made
from tests.support import mesh as support
from tests.support.certificates import AT, TRUST_DOMAIN
from tests.support.mesh import Mesh, held, mesh, pod

ROOT, CA = made.mesh_root(), made.mesh_spire_ca()
LEAF = CA.issue(made.SVID)
CHAIN = made.pem(LEAF, CA)
REVIEWS = ObjectTarget("Pod", "bookinfo", "reviews-v1-5d9-x")


def no_cluster() -> Reader:
    raise AssertionError("a cluster was asked")


def of_file(path: Path, *, bundle: bool = False) -> Inspection:
    return inspect(FileTarget(path), AT, stdin=io.BytesIO(), cluster=no_cluster, bundle=bundle)


def of_object(target: ObjectTarget, cluster: Mesh, *, bundle: bool = False) -> Inspection:
    return inspect(target, AT, stdin=io.BytesIO(), cluster=lambda: cluster, bundle=bundle)


def shape(found: Inspection) -> list[tuple[str, Role, int]]:
    return [(part.name, part.role, len(part.contents.certificates)) for part in found.parts]


def secret(**data: bytes) -> Object:
    encoded = {name.replace("_", "."): base64.b64encode(value).decode() for name, value in data.items()}
    metadata = {"name": "cacerts", "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


def config_map(namespace: str, **data: str) -> Object:
    metadata = {"name": "istio-ca-root-cert", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.mark.parametrize(
    ("content", "bundle", "parts"),
    [
        (CHAIN, False, [("", Role.CHAIN, 2)]),
        (CHAIN, True, [("", Role.BUNDLE, 2)]),
        (made.pem(ROOT, made.root()), False, [("", Role.BUNDLE, 2)]),
        (held(), False, [("default", Role.CHAIN, 2), (f"ROOTCA {TRUST_DOMAIN}", Role.BUNDLE, 1)]),
        (held(), True, [(f"ROOTCA {TRUST_DOMAIN}", Role.BUNDLE, 1)]),
    ],
    ids=["a chain", "said to be a bundle", "roots alone", "Envoy's dump", "the bundle of a dump"],
)
def test_a_file_is_read_for_what_it_is(
    tmp_path: Path, content: bytes, bundle: bool, parts: list[tuple[str, Role, int]]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    found = of_file(path, bundle=bundle)
    assert (found.source, shape(found)) == (f"file {path}", parts)


def test_standard_input_is_read_where_the_word_is_a_dash() -> None:
    found = inspect(FileTarget(Path("-")), AT, stdin=io.BytesIO(CHAIN), cluster=no_cluster)
    assert (found.source, shape(found)) == ("standard input", [("", Role.CHAIN, 2)])


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"{", b"{}", b"[1]", b"null", LEAF.key_pem, CHAIN[:200], b"0" * LIMIT], ids=len
)
def test_garbage_in_a_file_is_the_users_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        of_file(path)
    assert caught.value.code == "MPK-380"


def too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LIMIT + 1)


@pytest.mark.parametrize("make", [Path, Path.mkdir, too_large], ids=["missing", "folder", "too large"])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "file")
    with pytest.raises(UsageError) as caught:
        of_file(tmp_path / "file")
    assert (caught.value.code, caught.value.where) == ("MPK-381", str(tmp_path / "file"))


def test_a_device_without_end_is_given_up_at_the_limit() -> None:
    with pytest.raises(UsageError, match="more than"):
        of_file(Path(os.devnull).with_name("zero"))


def test_a_pod_shows_the_chain_and_the_bundles_of_its_envoy() -> None:
    cluster = mesh(pod(), reviews_v1_5d9_x=held())
    for target in (REVIEWS, ObjectTarget("Pod", "", "reviews-v1-5d9-x")):
        found = of_object(target, cluster)
        assert found.source == "Pod bookinfo/reviews-v1-5d9-x"
        assert shape(found) == [("default", Role.CHAIN, 2), (f"ROOTCA {TRUST_DOMAIN}", Role.BUNDLE, 1)]
    assert shape(of_object(REVIEWS, cluster, bundle=True)) == [(f"ROOTCA {TRUST_DOMAIN}", Role.BUNDLE, 1)]


def test_of_a_secret_the_certificates_are_kept_and_the_key_is_not() -> None:
    chain, key = made.pem(CA, ROOT), CA.key_pem
    cluster = mesh(secret(tls_crt=chain, tls_key=key, ca_crt=ROOT.pem, other=chain))
    found = of_object(ObjectTarget("Secret", "istio-system", "cacerts"), cluster)
    assert shape(found) == [("tls.crt", Role.CHAIN, 2), ("ca.crt", Role.BUNDLE, 1)]
    assert "PRIVATE" not in repr(found)
    assert cluster.requests == [("get", "Secret istio-system/cacerts")]


def test_a_config_map_shows_every_bundle_in_it() -> None:
    cluster = mesh(config_map("bookinfo", root="words", **{"root-cert.pem": ROOT.pem.decode()}))
    found = of_object(ObjectTarget("ConfigMap", "", "istio-ca-root-cert"), cluster)
    assert (found.source, shape(found)) == (
        "ConfigMap bookinfo/istio-ca-root-cert",
        [("root-cert.pem", Role.BUNDLE, 1)],
    )


MISSING = ObjectTarget("Secret", "istio-system", "nobody")


@pytest.mark.parametrize(
    ("target", "bundle", "kind", "code"),
    [
        (MISSING, False, PreconditionError, "MPK-382"),
        (ObjectTarget("Pod", "", "nobody"), False, PreconditionError, "MPK-382"),
        (ObjectTarget("ConfigMap", "", "istio-ca-root-cert"), False, UsageError, "MPK-383"),
        (ObjectTarget("ConfigMap", "a", "istio-ca-root-cert"), False, PreconditionError, "MPK-384"),
        (REVIEWS, False, PreconditionError, "MPK-384"),
        (ObjectTarget("Secret", "istio-system", "cacerts"), True, PreconditionError, "MPK-384"),
        (ObjectTarget("Pod", "bookinfo", "broken-v1-5d9-x"), False, UsageError, "MPK-380"),
    ],
    ids=["no secret", "no pod", "two", "without", "an empty Envoy", "no bundle in it", "a damaged chain"],
)
def test_what_is_not_there_or_holds_nothing_is_told(
    target: ObjectTarget, bundle: bool, kind: type[MeshpkiError], code: str
) -> None:
    cluster = mesh(
        pod(), pod("broken-v1-5d9-x"), config_map("a"), config_map("b"), secret(tls_crt=CHAIN),
        reviews_v1_5d9_x=support.dump(b"", {}), broken_v1_5d9_x=support.dump(b"hello", {}),
    )  # fmt: skip
    with pytest.raises(kind) as caught:
        of_object(target, cluster, bundle=bundle)
    assert caught.value.code == code


def test_a_secret_whose_value_is_no_base64_is_garbage() -> None:
    broken = secret()
    broken["data"] = {"tls.crt": "%%%"}
    with pytest.raises(UsageError, match="no base64"):
        of_object(ObjectTarget("Secret", "istio-system", "cacerts"), mesh(broken))
