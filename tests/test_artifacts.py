import hashlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from meshpki.artifacts import obtain, wanted, with_images
from meshpki.downloads import DownloadError, download, proxy_for
from meshpki.errors import PreconditionError
from meshpki.settings import Approval, Proxy, Settings, defaults, read_text

NOWHERE = "proxy: {https: 'http://127.0.0.1:9'}"  # nobody listens: whatever is downloaded fails


def brought(folder: Path, *, text: str = "", unpinned: str = "nothing") -> Settings:
    """Settings that pin every release file by what lies in `folder`, where one is made for each; but for `unpinned`."""
    folder.mkdir(parents=True, exist_ok=True)
    pins = []
    for artifact in wanted(defaults()):
        content = artifact.name.encode()
        (folder / artifact.name).write_bytes(content)
        if not artifact.name.startswith(unpinned):
            pins.append(f"    {artifact.name}: {hashlib.sha256(content).hexdigest()}")
    lines = ["apiVersion: meshpki.dev/v1alpha1", "kind: Mesh", NOWHERE, "artifacts:", "  pins:", *pins, text]
    return read_text("\n".join(lines), "test")


def test_the_crd_of_approver_policy_is_a_release_file_only_where_policies_approve() -> None:
    usual, policed = (wanted(replace(defaults(), approval=Approval(policy=on))) for on in (False, True))
    (crd,) = set(policed) - set(usual)
    assert (crd.name, len(crd.sha256)) == ("approver-policy-crd-v0.28.0.yaml", 64)
    assert "/cert-manager/approver-policy/raw/v0.28.0/" in crd.url


def test_the_crds_of_spire_and_of_approver_policy_are_told_apart(tmp_path: Path) -> None:
    wish = replace(brought(tmp_path), approval=Approval(policy=True))
    crd = wanted(wish)[-1]
    (tmp_path / crd.name).write_bytes(b"crd")
    pins = {**wish.artifacts.pins, crd.name: hashlib.sha256(b"crd").hexdigest()}
    found = obtain(replace(wish, artifacts=replace(wish.artifacts, pins=pins)), tmp_path)
    assert (len(found.spire_crds), found.policy_crds) == (3, (tmp_path / crd.name,))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_directory_brings_every_release_file_and_nothing_is_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    settings = brought(folder)
    found = obtain(settings, folder)
    assert {path.parent for path in (found.cert_manager, found.istioctl, *found.spire_crds)} == {folder}
    assert not (tmp_path / "cache").exists()
    told: list[str] = []
    assert obtain(settings, folder, told=told.append) == found
    assert told == []
    with pytest.raises(PreconditionError) as without:
        obtain(settings, told=told.append)
    assert told == [f"downloading {wanted(settings)[0].url}"]
    assert without.value.code == "MPK-053"
    assert "--artifact-dir" in without.value.remedy
    assert without.value.what.endswith("could not be downloaded: connection refused (by proxy 127.0.0.1:9)")


def test_the_directory_of_the_command_line_goes_before_the_settings_own(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    settings = brought(folder, text="  directory: /nowhere")
    assert obtain(settings, folder).cert_manager.parent == folder
    with pytest.raises(PreconditionError) as refused:
        obtain(settings)
    assert (refused.value.code, refused.value.where.startswith("/nowhere/")) == ("MPK-050", True)


@pytest.mark.parametrize(
    ("number", "content", "code"),
    [(0, None, "MPK-050"), (1, b"another", "MPK-051"), (2, b"", "MPK-051")],
    ids=["missing", "another content", "empty"],
)
def test_a_directory_that_lacks_a_file_or_has_another_is_refused_by_its_name(
    tmp_path: Path, number: int, content: bytes | None, code: str
) -> None:
    folder = tmp_path / "files"
    settings = brought(folder)
    path = folder / wanted(settings)[number].name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PreconditionError) as refused:
        obtain(settings, folder)
    assert (refused.value.code, refused.value.where) == (code, str(path))


def test_a_file_without_a_pin_is_not_taken_from_a_directory_either(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    settings = brought(folder, unpinned="istioctl")
    with pytest.raises(PreconditionError) as refused:
        obtain(settings, folder)
    assert refused.value.code == "MPK-052"


def test_a_missing_pin_is_told_before_anything_is_looked_for_or_downloaded(tmp_path: Path) -> None:
    settings = brought(tmp_path / "files", unpinned="istioctl")
    for directory in (None, Path("/nowhere")):
        with pytest.raises(PreconditionError) as refused:
            obtain(settings, directory)
        assert refused.value.code == "MPK-052"
        assert "pins: {istioctl-1.29.1-linux-amd64.tar.gz: <hex>}" in refused.value.remedy
    assert not (tmp_path / "cache").exists()


def test_the_one_file_that_names_images_comes_from_the_settings_own_directory_too(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    settings = brought(folder, text=f"  directory: {folder}")
    assert with_images(settings).cert_manager.parent == folder
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    settings = brought(tmp_path / "files")
    (tmp_path / "cache").write_text("a file in its place")
    with pytest.raises(PreconditionError, match=r"MPK-053 .*: Not a directory"):
        obtain(settings)


GITHUB = "https://github.com/x"


@pytest.mark.parametrize(
    ("settings", "environment", "proxy"),
    [
        (Proxy(), {}, ""),
        (Proxy(https="http://a:1"), {}, "http://a:1"),
        (Proxy(http="http://a:1"), {}, "http://a:1"),
        (Proxy(https="http://a:1", no_proxy="github.com,10.0.0.0/8"), {}, ""),
        (Proxy(https="http://a:1", no_proxy=".example.com"), {}, "http://a:1"),
        (Proxy(), {"HTTPS_PROXY": "http://b:1"}, "http://b:1"),
        (Proxy(), {"https_proxy": "b:1"}, "http://b:1"),
        (Proxy(), {"HTTPS_PROXY": "http://b:1", "NO_PROXY": "github.com"}, ""),
        (Proxy(no_proxy="github.com"), {"HTTPS_PROXY": "http://b:1"}, ""),
        (Proxy(https="http://a:1"), {"HTTPS_PROXY": "http://b:1", "NO_PROXY": "github.com"}, "http://a:1"),
    ],
)
def test_the_proxy_is_that_of_the_settings_else_the_environments_but_for_what_either_leaves_out(
    monkeypatch: pytest.MonkeyPatch, settings: Proxy, environment: dict[str, str], proxy: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(GITHUB, settings) == proxy


def test_a_password_of_the_environments_proxy_is_never_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary@127.0.0.1:9")
    with pytest.raises(DownloadError) as failed:
        download(GITHUB, tmp_path / "x", Proxy(), 1)
    assert str(failed.value) == "connection refused (by proxy 127.0.0.1:9)"


SOON = timedelta(milliseconds=20)
MIB = 1 << 20


class Heard:
    """What was told; a server waits with it until words were heard."""

    def __init__(self) -> None:
        self.told, self._more = list[str](), threading.Condition()

    def __call__(self, words: str) -> None:
        with self._more:
            self.told.append(words)
            self._more.notify_all()

    def wait(self, words: str) -> None:
        with self._more:
            assert self._more.wait_for(lambda: any(words in one for one in self.told), timeout=10), self.told


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server of this machine that answers each request so; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_CONNECT(self) -> None:
            answer(self)

        def log_message(self, *_args: object) -> None:
            """Nobody reads it."""

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("length", "told"), [(2 * MIB, ": 1.0 of 2.0 MiB"), (None, ": 1.0 MiB")], ids=["of a known length", "of an unknown"]
)
def test_while_a_server_is_slow_how_much_is_here_is_told(tmp_path: Path, length: int | None, told: str) -> None:
    heard = Heard()

    def slowly(request: BaseHTTPRequestHandler) -> None:
        heard.wait(": 0.0 MiB")
        request.send_response(200)
        if length is not None:
            request.send_header("Content-Length", str(length))
        request.end_headers()
        request.wfile.write(bytes(MIB))
        heard.wait(told)
        request.wfile.write(bytes(MIB))

    with serving(slowly) as url:
        download(f"{url}/file", tmp_path / "file", Proxy(no_proxy="127.0.0.1"), 2 * MIB, told=heard, every=SOON)
        after = len(heard.told)
        threading.Event().wait(5 * SOON.total_seconds())
    assert (tmp_path / "file").stat().st_size == 2 * MIB
    assert {one.partition(": ")[0] for one in heard.told} == {f"downloading {url}/file"}
    assert len(heard.told) == after


def test_a_release_file_that_is_slow_to_come_is_told_of_again(tmp_path: Path) -> None:
    heard = Heard()
    settings = brought(tmp_path / "files")
    url = wanted(settings)[0].url

    def refuse(request: BaseHTTPRequestHandler) -> None:
        heard.wait(f"downloading {url}: 0.0 MiB")
        request.send_error(502)

    with serving(refuse) as proxy, pytest.raises(PreconditionError, match="MPK-053"):
        obtain(replace(settings, proxy=Proxy(https=proxy)), told=heard, every=SOON)
    assert heard.told[0] == f"downloading {url}"
