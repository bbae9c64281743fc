"""Which client of the probe calls whom: every ordered pair of nodes, the gateway, and what a user named."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Flow:
    """One client's requests to one destination, or its long-lived stream.

    `source` is the node of the client, `mark` the flow's name in that client's log, `title` its name for people.
    """

    source: str
    mark: str
    title: str
    stream: bool = False
