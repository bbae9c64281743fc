"""Which client of the probe calls whom: every ordered pair of nodes, the gateway, and what a user named."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from meshpki.errors import UsageError

NAMESPACE = "meshpki-probe"
HOST = "probe.meshpki.invalid"
CLIENT, SERVER = "client", "server"
GATEWAY_MARK, TARGET_MARK, STREAM_MARK = "gateway", "target", "stream"
# All flows together ask for at least this many requests a second (more than the 20 that are promised: a client that
# waits for a processor catches nothing up), and each flow by itself for some.
_TOTAL, _LEAST = 30, 2

# Neither a shell's, nor Kubernetes' `$(NAME)`, nor curl's `[1-9]` and `{a,b}` can be made of these.
_TARGET = re.compile(
    r"(?P<host>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,8})"
    r":(?P<port>[1-9][0-9]{0,4})(?P<path>/[A-Za-z0-9/._~%?&=+,;:@-]{0,500})?",
    re.ASCII,
)
_PORTS = 65535


@dataclass(frozen=True, order=True)
class Flow:
    """One client's requests to one destination, or its long-lived stream.

    `source` is the node of the client, `mark` the flow's name in that client's log, `title` its name for people.
    """

    source: str
    mark: str
    title: str
    stream: bool = False


@dataclass(frozen=True)
class Target:
    """A Service of the user that is to be called too, and nothing of it changed."""

    host: str
    port: int
    path: str = "/"

    @property
    def url(self) -> str:
        """What is fetched, by GET."""
        return f"http://{self.host}:{self.port}{self.path}"


def read_target(text: str) -> Target | None:
    """`host:port[/path]`, None for no text; raises UsageError (MPK-455)."""
    found = _TARGET.fullmatch(text)
    if not text:
        return None
    if found is None or int(found["port"]) > _PORTS:
        raise UsageError("MPK-455", f"`{text[:100]!a}` is no host:port[/path]", where="--probe-target")
    return Target(found["host"], int(found["port"]), found["path"] or "/")


def flows(nodes: Sequence[str], target: str = "") -> tuple[Flow, ...]:
    """Every flow between clients and servers on these nodes, in the order in which both are numbered."""
    found = []
    user = read_target(target)
    for number, source in enumerate(nodes):
        found += [Flow(source, str(to), f"{source} > {node}") for to, node in enumerate(nodes)]
        found.append(Flow(source, GATEWAY_MARK, f"{source} > gateway"))
        if user:
            title = f"{source} > {user.host}:{user.port}{user.path} (retries and connections are its own)"
            found.append(Flow(source, TARGET_MARK, title))
        found.append(Flow(source, STREAM_MARK, f"{source} ~ {nodes[beside(number, nodes)]} (stream)", stream=True))
    return tuple(found)


def beside(number: int, nodes: Sequence[str]) -> int:
    """The node to which the long-lived stream of a client goes: the next one, its own where there is no other."""
    return (number + 1) % len(nodes)


def per_second(nodes: int) -> int:
    """Requests a second of each flow between this many nodes: at least 30 in total, and 2 each."""
    return max(_LEAST, math.ceil(_TOTAL / (nodes * nodes + nodes)))
