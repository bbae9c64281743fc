"""Which manifests are applied together, and what has to be waited for before the next ones."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from meshpki.cluster.manifest import Object, owned, waves
from meshpki.components.istio_objects import GATEWAYS, component
from meshpki.rendering.waits import Wait, waits_for
from meshpki.workflow.step import Step

SETTINGS = "settings"
_CRD = "CustomResourceDefinition"
_UNSAFE = re.compile(r"[^a-z0-9.-]+")


@dataclass(frozen=True)
class Stage:
    """Manifests that need nothing of each other but their order; `waits` are for the stage after it.

    Its number is its place in the whole installation, whatever part of that is rendered.
    """

    number: int
    name: str
    step: str
    manifests: tuple[Object, ...]
    waits: tuple[Wait, ...]

    @property
    def folder(self) -> str:
        """The folder it is written to."""
        return f"{self.number:02d}-{self.name}"


def stages(steps: Iterable[Step], wish: Object) -> tuple[Stage, ...]:
    """An installation in stages; `wish` is the ConfigMap of its settings, which comes first."""
    parts = [(SETTINGS, SETTINGS, (owned(wish, SETTINGS),)), *(part for step in steps for part in _parts(step))]
    return tuple(
        Stage(number, name, step, _in_order(manifests), tuple(waits_for(manifests)))
        for number, (step, name, manifests) in enumerate(parts, 1)
    )


def file_names(stage: Stage) -> list[tuple[str, Object]]:
    """Each manifest with the name of its file: `010-namespace-istio-system.yaml`, in the order of applying."""
    width = max(3, len(str(10 * len(stage.manifests))))
    return [(f"{10 * number:0{width}d}-{_slug(one)}.yaml", one) for number, one in enumerate(stage.manifests, 1)]


def _parts(step: Step) -> Iterator[tuple[str, str, tuple[Object, ...]]]:
    """A step's own manifests, those that wait for one of its gates, and what its programs would apply."""
    yield from _own(step)
    for later in step.later:
        name = str(later.manifests[0]["metadata"]["name"])
        yield step.name, name, tuple(owned(one, step.name) for one in later.manifests)
    for program in step.programs:
        if program.applies is None:
            continue
        made = program.applies.manifests()
        gateways = tuple(one for one in made if component(one) == GATEWAYS)
        yield step.name, step.name, (program.applies.mark, *(one for one in made if one not in gateways))
        if gateways:
            yield step.name, f"{step.name}-gateway", gateways


def _own(step: Step) -> Iterator[tuple[str, str, tuple[Object, ...]]]:
    """CRDs by themselves where the step has objects of their kinds: kubectl looks kinds up before it applies any."""
    manifests = tuple(owned(one, step.name) for one in step.manifests)
    crds = tuple(one for one in manifests if one["kind"] == _CRD)
    groups = {one["spec"]["group"] for one in crds}
    uses_them = any(one["apiVersion"].rpartition("/")[0] in groups for one in manifests)
    if crds and uses_them:
        yield step.name, f"{step.name}-crds", crds
        manifests = tuple(one for one in manifests if one not in crds)
    if manifests:
        yield step.name, step.name, manifests


def _in_order(manifests: Sequence[Object]) -> tuple[Object, ...]:
    """In dependency waves, and one after the other: a role before what binds it."""
    return tuple(one for wave in waves(manifests) for one in sorted(wave, key=lambda one: "Binding" in one["kind"]))


def _slug(manifest: Object) -> str:
    return _UNSAFE.sub("-", f"{manifest['kind']}-{manifest['metadata']['name']}".lower())
