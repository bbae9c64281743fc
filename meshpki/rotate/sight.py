"""What a look at the mesh has to see before it proves anything: nothing there, or no answer, is nobody who followed."""

from meshpki.rotate.facts import Facts
from meshpki.verify.bundles import ISTIO_BUNDLE


def unseen(facts: Facts) -> tuple[str, ...]:
    """What of the mesh a look did not see, each in words; none where it saw all there is."""
    kept = {one.name for one in facts.istio}
    namespaces = sorted({one.pod.ref.namespace for one in facts.envoys})
    maps = (f"ConfigMap {namespace}/{ISTIO_BUNDLE}" for namespace in namespaces)
    return (
        *unseen_spire(facts),
        *(("there is no pod of istiod",) if not facts.istiod else ()),
        *(f"{one.name}: {one.why or 'no answer'}" for one in facts.istiod if not one.sent),
        *(f"{name} is not there" for name in maps if name not in kept),
        *(("there is no webhook of Istio",) if not any("WebhookConfiguration" in name for name in kept) else ()),
    )


def unseen_spire(facts: Facts) -> tuple[str, ...]:
    """What of spire-server cannot be seen: a server that is away may have tainted a root already."""
    return (*facts.absent, *(("there is no pod of spire-server",) if not facts.spire else ()))
