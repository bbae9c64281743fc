"""A file of upstream's over the network, by the proxies of the settings, else by those of the environment."""

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

_TIMEOUT = urllib3.Timeout(connect=10, read=60)


class DownloadError(Exception):
    """There is no such file, or none that can be had; its text says why."""


def download(url: str, target: Path, settings: Proxy, limit: int) -> None:
    """Write what a URL answers with into a file, `limit` bytes at most; raises DownloadError."""
    proxy = proxy_for(url, settings)
    try:
        response = _pool(proxy).request("GET", url, timeout=_TIMEOUT, preload_content=False)
        if response.status != HTTPStatus.OK:
            raise DownloadError(f"HTTP {response.status}")
        _receive(response, target, limit)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        by = f" (by proxy {_place(proxy)})" if proxy else ""
        raise DownloadError(f"{why(error)}{by}") from error


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


def _receive(response: urllib3.BaseHTTPResponse, target: Path, limit: int) -> None:
    size = 0
    with target.open("wb") as content:
        for block in response.stream(1 << 20):
            size += content.write(block)
            if size > limit:
                raise DownloadError(f"it is larger than {limit} bytes")
