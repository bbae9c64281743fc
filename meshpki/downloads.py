"""A file of upstream's over the network, by the proxies of the settings, else by those of the environment."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import (  # type: ignore[attr-defined] # the last, which proxy_bypass is made of, is in no stub
    getproxies,
    proxy_bypass,
    proxy_bypass_environment,
)

import urllib3

from meshpki.cluster.silence import why
from meshpki.settings import Proxy

HEARTBEAT = timedelta(seconds=10)
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_BLOCK = 1 << 16
_MIB = 1 << 20

Told = Callable[[str], None]


def unheard(_words: str) -> None:
    """For whom nobody watches."""


@dataclass
class _Arrived:
    """How many bytes are here, and of how many; 0 of a server that does not say."""

    size: int = 0
    of: int = 0

    def __str__(self) -> str:
        of = f" of {self.of / _MIB:.1f}" if self.of else ""
        return f"{self.size / _MIB:.1f}{of} MiB"


class DownloadError(Exception):
    """There is no such file, or none that can be had; its text says why."""


def download(
    url: str, target: Path, settings: Proxy, limit: int, *, told: Told = unheard, every: timedelta = HEARTBEAT
) -> None:
    """Write what a URL answers with into a file, `limit` bytes at most; raises DownloadError.

    `told` hears from time to time, also while the server is silent, how much is here.
    """
    proxy, arrived = proxy_for(url, settings), _Arrived()
    try:
        with _beating(lambda: told(f"downloading {url}: {arrived}"), every):
            response = _pool(proxy).request("GET", url, timeout=_TIMEOUT, preload_content=False)
            if response.status != HTTPStatus.OK:
                raise DownloadError(f"HTTP {response.status}")
            _receive(response, target, limit, arrived)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        by = f" (by proxy {_place(proxy)})" if proxy else ""
        raise DownloadError(f"{why(error)}{by}") from error


@contextmanager
def _beating(beat: Callable[[], None], every: timedelta) -> Iterator[None]:
    """Call it at every beat, by a thread: what reads from a server hangs with it."""
    ended = threading.Event()

    def beats() -> None:
        while not ended.wait(every.total_seconds()):
            beat()

    beating = threading.Thread(target=beats, daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()


def proxy_for(url: str, settings: Proxy) -> str:
    """The URL of the proxy that leads to a URL, empty for none: that of the settings goes before the environment's."""
    host, scheme = urlsplit(url).netloc, urlsplit(url).scheme
    if settings.no_proxy and proxy_bypass_environment(host, {"no": settings.no_proxy}):
        return ""
    if chosen := settings.https or settings.http:
        return chosen
    found = "" if proxy_bypass(host) else getproxies().get(scheme, "")
    return found if "://" in found or not found else f"http://{found}"


def _pool(proxy: str) -> urllib3.PoolManager:
    if not proxy:
        return urllib3.PoolManager()
    user, password = urlsplit(proxy).username, urlsplit(proxy).password
    login = f"{unquote(user)}:{unquote(password or '')}" if user else None
    return urllib3.ProxyManager(proxy, proxy_headers=urllib3.make_headers(proxy_basic_auth=login))


def _place(proxy: str) -> str:
    """Without the credentials that the environment may give it."""
    return urlsplit(proxy).netloc.rpartition("@")[2]


def _receive(response: urllib3.BaseHTTPResponse, target: Path, limit: int, arrived: _Arrived) -> None:
    length = response.headers.get("Content-Length", "")
    arrived.of = int(length) if length.isdecimal() else 0
    with target.open("wb") as content:
        for block in response.stream(_BLOCK):
            arrived.size += content.write(block)
            if arrived.size > limit:
                raise DownloadError(f"it is larger than {limit} bytes")
