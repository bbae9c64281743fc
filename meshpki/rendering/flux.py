"""A Kustomization of Flux for each stage, each waiting for the one before it."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from meshpki.cluster.documents import document
from meshpki.cluster.manifest import Object
from meshpki.rendering.stages import Stage

_FOLDER = "flux"
_NAMESPACE = _SOURCE = "flux-system"


def kustomizations(parts: Sequence[Stage], path: str) -> Mapping[str, bytes]:
    """Their files, and a kustomization.yaml by which whoever syncs the folder takes them alone; `path` is its place."""
    names = {stage.folder: f"{_FOLDER}/{stage.folder}.yaml" for stage in parts}
    root = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [*names.values()]}
    befores: list[Stage | None] = [None, *parts]
    found = {
        names[stage.folder]: document(_kustomization(stage, before, path)).encode()
        for stage, before in zip(parts, befores, strict=False)
    }
    return {**found, "kustomization.yaml": document(root).encode()}


def _kustomization(stage: Stage, before: Stage | None, path: str) -> Object:
    spec: Object = {
        "interval": "10m",
        "retryInterval": "1m",
        "timeout": "5m",
        # what a later render leaves out, the root's Certificate above all, is removed by people
        "prune": False,
        "wait": True,
        "path": f"./{PurePosixPath(path, stage.folder)}",
        "sourceRef": {"kind": "GitRepository", "name": _SOURCE},
    }
    needs: Object = {"dependsOn": [{"name": _name(before)}]} if before else {}
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": _name(stage), "namespace": _NAMESPACE},
        "spec": {**needs, **spec},
    }


def _name(stage: Stage) -> str:
    return f"meshpki-{stage.name}"
