"""The first stage of a root rotation: another generation of the trust anchor, which nobody trusts yet."""

import threading
from datetime import UTC, datetime

from meshpki.cluster.client import Clock, Cluster, Reader
from meshpki.cluster.manifest import only
from meshpki.components.root_ca import unfit_root
from meshpki.components.trust import PIN, Pin, issued, pinned, requests_of, root_certificate
from meshpki.errors import StepError
from meshpki.pki.certificate import Certificate
from meshpki.rotate import acts
from meshpki.rotate.goals import NEW_ROOT
from meshpki.rotate.patience import Patience
from meshpki.settings import Settings
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Step


def new_root(settings: Settings, pin: Pin, number: int, clock: Clock) -> Step:
    """The step that issues generation `number` beside the pinned root, and pins both; the alias stays where it is."""
    certificate = root_certificate(settings, number)

    def issue(cluster: Cluster, stop: threading.Event) -> None:
        Patience(clock, stop).insist(lambda: acts.issue_root(cluster, settings, number))

    def pin_both(cluster: Cluster, stop: threading.Event) -> None:
        Patience(clock, stop).insist(lambda: both(cluster))

    def both(cluster: Cluster) -> None:
        _, chain = issued(cluster, certificate)
        if not chain:
            raise StepError("MPK-212", "the new root went away before it was pinned", where=str(PIN))
        acts.pin(cluster, number, chain[0], pin.root)

    def settled(reader: Reader) -> bool:
        found = pinned(reader)
        return found is not None and found.generation == number

    return Step(
        name=NEW_ROOT,
        summary=f"another root beside {pin.root.subject}, with a key and a name of its own",
        gates=(
            Gate(
                name="issued",
                proves="the new root is self-signed, a CA, valid, and differs from the old one in key and name",
                check=lambda reader: _judge(reader, settings, pin, number),
                hint=f"look at `kubectl -n {certificate.namespace} describe certificate {certificate.name}`",
                code="MPK-212",
                watches=(only(certificate), requests_of(certificate)),
            ),
        ),
        programs=(
            Program("issue", settled, issue),
            Program("pin", settled, pin_both, after="issued"),
        ),
    )


def _judge(reader: Reader, settings: Settings, pin: Pin, number: int) -> Readiness:
    readiness, chain = issued(reader, root_certificate(settings, number))
    if not chain:
        return readiness
    why = unfit_root(chain[0], settings, datetime.now(UTC)) or alike(chain[0], pin.root)
    if why:
        return Failed(why)
    return Ready(f"{chain[0].subject} sha256 {chain[0].sha256}")


def alike(new: Certificate, old: Certificate) -> str:
    """In what a new root must not be as the old one, empty where it differs in all of it.

    Verifiers choose an anchor by name and key identifier; SPIRE taints and drops one by the latter.
    """
    if new.key_sha256 == old.key_sha256:
        return f"{new.subject} has the key of {old.subject}"
    if new.subject == old.subject:
        return f"both roots are named {new.subject}"
    if not new.ski or new.ski == old.ski:
        return f"{new.subject} has no key identifier of its own"
    return ""
