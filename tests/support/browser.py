"""A real browser without a window, by its DevTools: what a page looks like, asks for and complains of."""

import base64
import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60.0
# no picture of a page is higher, whatever its length
HIGHEST = 6000
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
LOOK = """(() => {
  const seen = document.scrollingElement || document.documentElement;
  const body = document.body || document.documentElement;
  const scrolls = (one) => /auto|scroll/.test(getComputedStyle(one).overflowX);
  const texts = [...document.querySelectorAll("svg.timeline text")].map((one) => [one, one.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom;
  const cut = (one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1 && !scrolls(one);
  return {
    title: document.title,
    words: body.innerText || body.textContent,
    width: seen.scrollWidth,
    height: seen.scrollHeight,
    room: innerWidth,
    ground: getComputedStyle(body).backgroundColor,
    tooWide: [...document.querySelectorAll("header *, main *, footer *")]
      .filter((one) => one instanceof HTMLElement && !one.closest(".tree-text") && cut(one))
      .map((one) => one.outerHTML.slice(0, 120)),
    overlaps: texts.flatMap(([one, box], number) => texts.slice(number + 1)
      .filter(([, other]) => meet(box, other)).map(([other]) => `${one.textContent} / ${other.textContent}`)),
  };
})()"""


def found() -> str:
    """The browser's program; empty where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), "")


@dataclass(frozen=True)
class View:
    """A page as the browser shows it: its text, its size beside the window's, its picture, and what went wrong."""

    title: str
    words: str
    width: int
    height: int
    room: int
    ground: str
    too_wide: tuple[str, ...]
    overlaps: tuple[str, ...]
    picture: bytes
    complaints: tuple[str, ...]
    requests: tuple[str, ...]


class Browser:
    """One browser, in which page after page is opened."""

    def __init__(self, address: str) -> None:
        # with an Origin the browser would take us for a page that tries to drive it
        self._socket = websocket.create_connection(address, timeout=SECONDS, suppress_origin=True)
        self._numbers = itertools.count(1)
        self._session = ""
        self._events: list[dict[str, Any]] = []
        self._blank: dict[tuple[str, str], int] = {}
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._ask(f"{domain}.enable")

    def view(self, page: Path, size: str, scheme: str) -> View:
        """Open a file as one with such a screen and such a preference would."""
        return self._view(page.as_uri(), size, scheme)

    def _view(self, address: str, size: str, scheme: str) -> View:
        width, height = WIDTHS[size]
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=size == "phone",
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._ask("Emulation.setEmulatedMedia", media="", features=features)
        self._open(address)
        seen = self._ask("Runtime.evaluate", expression=LOOK, returnByValue=True)["result"]["value"]
        clip = {"x": 0, "y": 0, "width": width, "height": min(max(seen["height"], height), HIGHEST), "scale": 1}
        taken = self._ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return View(
            seen["title"],
            seen["words"],
            seen["width"],
            seen["height"],
            seen["room"],
            seen["ground"],
            tuple(seen["tooWide"]),
            tuple(seen["overlaps"]),
            base64.b64decode(taken["data"]),
            tuple(self._complaints()),
            tuple(one["params"]["request"]["url"] for one in self._of("Network.requestWillBeSent")),
        )

    def blank(self, size: str, scheme: str) -> int:
        """How many bytes the picture of nothing has there."""
        if (size, scheme) not in self._blank:
            self._blank[size, scheme] = len(self._view("about:blank", size, scheme).picture)
        return self._blank[size, scheme]

    def close(self) -> None:
        """End it."""
        self._session = ""
        self._ask("Browser.close")
        self._socket.close()

    def _open(self, address: str) -> None:
        self._events.clear()
        self._ask("Page.navigate", url=address)
        while not any(self._of("Page.loadEventFired")):
            self._hear()

    def _complaints(self) -> Iterator[str]:
        yield from (str(one["params"]["entry"]) for one in self._of("Log.entryAdded"))
        yield from (str(one["params"]) for one in self._of("Runtime.exceptionThrown"))
        yield from (str(one["params"]) for one in self._of("Runtime.consoleAPICalled"))

    def _of(self, method: str) -> Iterator[dict[str, Any]]:
        return (one for one in self._events if one.get("method") == method)

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        self._socket.send(json.dumps({"id": number, "method": method, "params": params, **session}))
        while (answer := self._hear()).get("id") != number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]  # type: ignore[no-any-return]

    def _hear(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._socket.recv())
        self._events.append(said)
        return said


@contextmanager
def opened(program: str, profile: Path) -> Iterator[Browser]:
    """A browser that ends with the block."""
    argv = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    argv += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    argv += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with (profile / "said").open("wb") as said:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        browser = Browser(_address(child, profile / "said"))
        try:
            yield browser
        finally:
            browser.close()
            child.wait(timeout=SECONDS)
    finally:
        child.kill()
        child.wait()


def _address(child: subprocess.Popen[bytes], said: Path) -> str:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and child.poll() is None:
        if listens := re.search(r"^DevTools listening on (ws://\S+)$", said.read_text(errors="replace"), re.MULTILINE):
            return listens[1]
        time.sleep(0.05)
    raise AssertionError(f"the browser did not start: {said.read_text(errors='replace')[-2000:]}")
