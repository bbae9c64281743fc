"""The chain of an existing root: from a file or in the text, without anything but certificates, and never a key."""

from pathlib import Path

import pytest

from meshpki.settings import SettingsError, read, read_text, to_yaml
from tests.support import certificates as made
from tests.support.existing import corporate

HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"
CA, TOP = corporate()
PEM = made.pem(CA, TOP).decode()


def written(folder: Path, chain: str, content: str | bytes = PEM) -> Path:
    (folder / "ca.pem").write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = folder / "mesh.yaml"
    settings.write_text(f"{HEADER}root: {{existing: {{secretName: corporate-ca, chain: {chain}}}}}\n")
    return settings


def codes(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read([path])
    return [problem.code for problem in caught.value.problems]


def test_a_path_is_relative_to_the_settings_file_and_its_text_is_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    settings = read([written(tmp_path, "./ca.pem", f"subject=CN = Corporate\r\n{PEM}")])
    assert settings.root.existing.chain == PEM
    assert read_text(to_yaml(settings), "kept") == settings


def test_the_text_itself_may_stand_in_the_settings() -> None:
    block = "\n".join(f"      {line}" for line in PEM.splitlines())
    text = f"{HEADER}root:\n  existing:\n    secretName: corporate-ca\n    chain: |\n{block}\n"
    assert read_text(text, "test").root.existing.chain == PEM


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (PEM + CA.key_pem.decode(), "MPK-270"),
        (CA.key_pem.decode().replace("PRIVATE", "ENCRYPTED PRIVATE"), "MPK-270"),
        (CA.key_pem.decode().replace("PRIVATE", "EC PRIVATE"), "MPK-270"),
        ("", "MPK-285"),
        ("root:x:0:0:root:/root:/bin/bash", "MPK-285"),
        (PEM.rstrip()[:-5], "MPK-285"),
        (PEM.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "MPK-285"),
        (PEM.replace("M", "<", 1), "MPK-285"),
        (CA.x509.public_bytes(made.Encoding.DER), "MPK-285"),
        (PEM * 100, "MPK-285"),
    ],
)
def test_a_file_that_is_no_public_chain_is_refused_and_nothing_of_it_is_repeated(
    tmp_path: Path, content: str | bytes, code: str
) -> None:
    path = written(tmp_path, "ca.pem", content)
    assert codes(path) == [code]
    with pytest.raises(SettingsError) as caught:
        read([path])
    assert not any(line in str(caught.value) for line in CA.key_pem.decode().splitlines() if len(line) > 8)
    assert "root:x" not in str(caught.value)


def test_a_private_key_in_the_text_of_the_settings_is_refused() -> None:
    block = "\n".join(f"      {line}" for line in (PEM + CA.key_pem.decode()).splitlines())
    text = f"{HEADER}root:\n  existing:\n    secretName: corporate-ca\n    chain: |\n{block}\n"
    with pytest.raises(SettingsError) as caught:
        read_text(text, "test")
    assert [problem.code for problem in caught.value.problems] == ["MPK-270"]


def test_a_file_that_is_not_there_is_told_with_the_place_that_names_it(tmp_path: Path) -> None:
    settings = written(tmp_path, "other.pem")
    with pytest.raises(SettingsError, match=r"mesh\.yaml:3: root\.existing\.chain: `other\.pem` cannot be read"):
        read([settings])


def test_a_path_is_followed_from_a_user_s_file_alone_and_not_from_what_a_cluster_keeps(tmp_path: Path) -> None:
    kept = written(tmp_path, str(tmp_path / "ca.pem")).read_text()
    for asked in (lambda: read_text(kept, "cluster"), lambda: read([], kept, "cluster")):
        with pytest.raises(SettingsError) as caught:
            asked()
        assert [problem.code for problem in caught.value.problems] == ["MPK-285"]


@pytest.mark.parametrize("half", ["secretName: corporate-ca", 'chain: "ca.pem"'])
def test_one_of_the_two_alone_is_refused(tmp_path: Path, half: str) -> None:
    path = written(tmp_path, "ca.pem")
    path.write_text(f"{HEADER}root: {{existing: {{{half}}}}}\n")
    assert codes(path) == ["MPK-285"]


def test_the_duration_of_a_root_that_is_not_ours_limits_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "ca.pem")
    path.write_text(path.read_text().replace("root: {", "root: {duration: 2h, "))
    assert read([path]).root.existing.secret_name == "corporate-ca"
