"""What must hold of the root before the first write: the one that is pinned, and an existing CA with its chain."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Protocol

from meshpki.cluster.manifest import Object
from meshpki.components.existing_root import given_chain, secret_ref, unfit
from meshpki.components.root_ca import root_spec
from meshpki.components.trust import PIN, Pin
from meshpki.pki.certificate import UnparsableError
from meshpki.preflight.surroundings import Problem
from meshpki.settings import Settings


class Seen(Protocol):
    """What a look at the cluster saw of the root, at a moment (UTC)."""

    @property
    def at(self) -> datetime:
        """When it was."""

    @property
    def pin(self) -> Pin | None:
        """The pin, None on a new cluster."""

    @property
    def root(self) -> Object | None:
        """The Certificate of a root that cert-manager makes."""

    @property
    def roots(self) -> Mapping[int, str]:
        """Without a pin: the SHA-256 of each generation that was issued, by its number."""

    @property
    def installed(self) -> bool:
        """Without a pin: whether a step that needs one was begun."""

    @property
    def existing(self) -> bool:
        """Whether the Secret of an existing CA is there."""


def existing_problem(code: str, seen: Seen, settings: Settings) -> Problem | None:
    """What the chain of an existing CA is not fit for, under one code; all that is wrong of that kind in one."""
    if not settings.root.existing.secret_name:
        return None
    found = [one for one in unfit(settings, seen.at) if one.code == code]
    return ("; ".join(one.what for one in found), "root.existing.chain", found[0].remedy) if found else None


def missing_secret(seen: Seen, settings: Settings) -> Problem | None:
    """An existing CA is a Secret that its owner made; meshpki sees whether it is there and of which type."""
    if seen.existing or not settings.root.existing.secret_name:
        return None
    ref = secret_ref(settings)
    remedy = f"kubectl -n {ref.namespace} create secret tls {ref.name} --cert=chain.pem --key=ca.key"
    return "there is no Secret of type kubernetes.io/tls", str(ref), remedy


def other_root(seen: Seen, settings: Settings) -> Problem | None:
    """A mesh does not pass from one root to another by `up`, whoever made them."""
    pin = seen.pin
    if pin is None:
        return None
    existing = bool(settings.root.existing.secret_name)
    if existing != bool(pin.chain):
        kinds = ("a root that cert-manager made", "an existing CA")
        what = f"this mesh lies under {kinds[bool(pin.chain)]}, and the settings name {kinds[existing]}"
        return what, str(PIN), "keep the settings of the root as they were; another kind of root takes a new mesh"
    if existing and not _unreadable(settings) and given_chain(settings)[-1].sha256 != pin.root.sha256:
        what = f"the chain ends with root {given_chain(settings)[-1].sha256}, and {pin.root.sha256} is pinned"
        return what, str(PIN), "give a chain that leads to the pinned root; another root takes a new mesh"
    return None


def changed_root(seen: Seen, settings: Settings) -> Problem | None:
    """cert-manager issues a changed Certificate anew, whatever its renewal policy: that would be another root."""
    pin, root = seen.pin, seen.root
    if pin is None or root is None:
        return None
    wanted = root_spec(settings, pin.generation)
    changed = [name for name, value in wanted.items() if root["spec"].get(name) != value]
    if not changed:
        return None
    where = f"Certificate {root['metadata']['namespace']}/{root['metadata']['name']}"
    return f"a root cannot change in place: {', '.join(changed)} would", where, "keep the root's settings as they were"


def lost_pin(seen: Seen, settings: Settings) -> Problem | None:
    """A mesh that was pinned once is pinned again to the root that its owner names, never to what is there.

    Without a pin and with one root is also a first `up` that was killed, and a mesh that others applied.
    """
    never_pinned = max(seen.roots, default=1) == 1 and not (seen.roots and seen.installed)
    if seen.pin is not None or never_pinned or settings.root.existing.secret_name:
        return None
    if settings.root.fingerprint in seen.roots.values():
        return None
    known = ", ".join(f"generation {number} {sha256}" for number, sha256 in sorted(seen.roots.items()))
    bundle = f"kubectl -n {settings.namespaces.spire_system} get configmap spire-bundle -o yaml"
    remedy = f"set root.fingerprint to the one that the mesh trusts ({bundle}), and it is pinned again"
    return f"it is gone, and a mesh lives under one of these roots: {known}", str(PIN), remedy


def other_fingerprint(seen: Seen, settings: Settings) -> Problem | None:
    """`root.fingerprint` names the root that is pinned, or the one that is given to be."""
    wanted, pin = settings.root.fingerprint, seen.pin
    if pin is not None:
        known, what = pin.root.sha256, "this mesh is pinned to root"
    elif settings.root.existing.secret_name and not _unreadable(settings):
        known, what = given_chain(settings)[-1].sha256, "the chain of root.existing ends with root"
    else:
        return None
    if not wanted or known == wanted:
        return None
    return f"{what} {known}, root.fingerprint is {wanted}", str(PIN), "check that this is the cluster you mean"


def _unreadable(settings: Settings) -> bool:
    """Another check tells of a chain that cannot be read."""
    try:
        given_chain(settings)
    except UnparsableError:
        return True
    return False


# Name, code, judgement and what it reads; each fault of an existing CA has a code, which `pki/issuing.py` gives.
ROOT_CHECKS: tuple[tuple[str, str, Callable[[Seen, Settings], Problem | None], tuple[str, ...]], ...] = (
    ("root-fingerprint", "MPK-111", other_fingerprint, ("pin",)),
    ("root-pin", "MPK-126", lost_pin, ("pin", "roots", "installed")),
    ("root-settings", "MPK-117", changed_root, ("pin", "root")),
    ("root-kind", "MPK-286", other_root, ("pin",)),
    ("root-secret", "MPK-279", missing_secret, ("existing",)),
    ("root-chain", "MPK-271", partial(existing_problem, "MPK-271"), ()),
    ("root-is-ca", "MPK-272", partial(existing_problem, "MPK-272"), ()),
    ("root-validity", "MPK-273", partial(existing_problem, "MPK-273"), ()),
    ("root-lasts", "MPK-274", partial(existing_problem, "MPK-274"), ()),
    ("root-key-usage", "MPK-275", partial(existing_problem, "MPK-275"), ()),
    ("root-path-length", "MPK-276", partial(existing_problem, "MPK-276"), ()),
    ("root-strength", "MPK-277", partial(existing_problem, "MPK-277"), ()),
    ("root-constraints", "MPK-278", partial(existing_problem, "MPK-278"), ()),
    ("root-rules", "MPK-287", partial(existing_problem, "MPK-287"), ()),
)
