"""istiod's part of a root rotation: its CA renewed under the other root, while its bundle keeps both."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from meshpki.cluster.client import Cluster
from meshpki.components.istio import istiods
from meshpki.components.trust import issued, istiod_certificate
from meshpki.pki.certificate import Certificate
from meshpki.rotate import acts, kubelet, reissue, scan
from meshpki.rotate.facts import Turn
from meshpki.rotate.patience import Patience
from meshpki.settings import Settings

_ISSUED_WITHIN = timedelta(minutes=2)
# A pod that was hurried has its mounts within 1.2 s.
_MOUNTED_WITHIN = timedelta(seconds=3)
_AT_ONCE = timedelta(seconds=0.1)


def renew_istiod_ca(cluster: Cluster, settings: Settings, turn: Turn, patience: Patience) -> None:
    """Renew `cacerts` under the root that is entered, and at once give istiod both anchors back.

    cert-manager writes its single root with each issuance; put back before the kubelet brings it to istiod, in the
    same order, istiod sees the bundle that it knows and only a new intermediate. Once asked for, no stop keeps the
    roots from being put back, and the run ends after that: a replica would load one of them alone, while another still
    serves the old chain.
    """
    firm = replace(patience, stop=threading.Event())
    ref, roots = istiod_certificate(settings), (turn.leaving.root, turn.entering.root)

    def under() -> bool:
        return scan.cacerts(cluster, settings, roots, datetime.now(UTC)) == turn.entering.root.sha256

    def put_back() -> bool:
        acts.hand_over(cluster, settings, turn.both)
        return True

    if not under():
        _have_mounted(cluster, settings, turn, patience)
    if patience.stopped:
        return
    with cluster.unbroken(f"{ref} is renewed, and both roots are put back into Secret {ref.name}"):
        if not under():
            before = reissue.revision(cluster.get(ref))
            firm.insist(lambda: reissue.trigger(cluster, ref, before))
            firm.until(lambda: acts.anchors_of_secret(cluster, settings) is None, _ISSUED_WITHIN, str(ref), _AT_ONCE)
        firm.until(put_back, _ISSUED_WITHIN, f"Secret {ref.name}")
        firm.until(under, _ISSUED_WITHIN, str(ref))
        firm.until(put_back, _ISSUED_WITHIN, f"Secret {ref.name}")
    if not patience.stopped:
        _, chain = issued(cluster, ref)
        kubelet.hurry(cluster, istiods(cluster, settings), acts.MARK, _note(turn, chain))


def _have_mounted(cluster: Cluster, settings: Settings, turn: Turn, patience: Patience) -> None:
    """Hurry the proxies' pods that an earlier run was stopped before; what they mount no gate can look at."""
    note = acts.bundle_mark(cluster, settings, turn.both)
    behind = kubelet.unhurried(acts.proxies(cluster), acts.MARK, note)
    if behind:
        kubelet.hurry(cluster, behind, acts.MARK, note)
        patience.clock.wait(patience.stop, _MOUNTED_WITHIN)


def _note(turn: Turn, chain: tuple[Certificate, ...]) -> str:
    """A mark that is another one for each issuance: the same again would bring no kubelet to look."""
    return f"{acts.mark(turn.both)}-{chain[0].sha256[:8] if chain else ''}"
