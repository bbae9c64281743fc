"""How many workloads have their X.509-SVID from the CAs of now, and by when the others have it by themselves."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from meshpki.cluster import envoy
from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Query
from meshpki.errors import MeshpkiError
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.renewal import latest_of_svid
from meshpki.verify.pods import mesh_pods

WIDTH = 64


@dataclass(frozen=True)
class Moving:
    """Pods by name: moved, still on another CA (with the leaf they hold), or silent (with the reason)."""

    moved: tuple[str, ...] = ()
    staying: dict[str, Certificate] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All that SPIRE promised an identity."""
        return len(self.moved) + len(self.staying) + len(self.silent)

    @property
    def until(self) -> datetime | None:
        """By when agents that run have renewed what has not moved; None where nothing is left that tells."""
        return max(map(latest_of_svid, self.staying.values()), default=None)

    def __str__(self) -> str:
        """As it is told while it goes on."""
        silent = f", {len(self.silent)} do not answer" if self.silent else ""
        return f"{len(self.moved)} of {self.total} workloads moved{silent}"


def moving(reader: Reader, authorities: frozenset[str]) -> Moving:
    """Where the workloads stand; `authorities` are the ids (subject key ids in hex) of the CAs of now."""
    pods = [pod for pod in mesh_pods(reader.scan(Query("v1", "Pod"))) if pod.promised]
    asked = [pod.ref for pod in pods if pod.has_proxy and pod.running]
    answers = reader.fetch(asked, envoy.ADMIN_PORT, envoy.PATH, WIDTH)
    found = {str(ref): _leaf(answer) for ref, answer in answers}
    unasked = {str(pod.ref): pod.trouble or "its proxy does not run" for pod in pods if pod.ref not in asked}
    return sorted_out(found.items(), authorities, unasked)


def sorted_out(
    found: Iterable[tuple[str, Certificate | str]], authorities: frozenset[str], silent: dict[str, str]
) -> Moving:
    """Each pod in its place, by the authority key id of its leaf; a text is why there is no leaf."""
    moved, staying, mute = [], dict[str, Certificate](), dict(silent)
    for name, leaf in found:
        match leaf:
            case str():
                mute[name] = leaf
            case _ if leaf.aki in authorities:
                moved.append(name)
            case _:
                staying[name] = leaf
    return Moving(tuple(sorted(moved)), staying, mute)


def _leaf(answer: bytes | MeshpkiError) -> Certificate | str:
    if isinstance(answer, MeshpkiError):
        return answer.what
    try:
        return read_chain(envoy.parse(answer).chain_pem)[0]
    except (envoy.EnvoyError, UnparsableError) as error:
        return error.what
