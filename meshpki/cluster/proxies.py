"""The proxy that leads to the API server, as its URL says it: how it is spoken to, and as whom."""

from base64 import b64encode
from urllib.parse import unquote, urlsplit

# Go's net/http sends these by no proxy of the environment, whatever NO_PROXY says.
LOOPBACK = "localhost,127.0.0.0/8,::1"


def whole(proxy: str) -> str:
    """The URL of a proxy that may be named by host and port alone; empty for none."""
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def credentials(proxy: str) -> tuple[str, str] | None:
    """User and password in a proxy's URL."""
    url = urlsplit(proxy)
    return None if url.username is None else (unquote(url.username), unquote(url.password or ""))


def authorization(proxy: str) -> dict[str, str]:
    """The header that tells a proxy who asks, empty where its URL names nobody."""
    login = credentials(proxy)
    return {"proxy-authorization": f"Basic {b64encode(':'.join(login).encode()).decode()}"} if login else {}
