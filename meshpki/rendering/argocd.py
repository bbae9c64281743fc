"""What Argo CD needs to know of each manifest: the sync wave it belongs to, and to apply it on the server's side."""

from collections.abc import Iterable
from dataclasses import replace

from meshpki.cluster.manifest import Object
from meshpki.rendering.stages import Stage


def in_waves(parts: Iterable[Stage]) -> tuple[Stage, ...]:
    """The stages with each manifest in the wave of its stage; a wave begins when all before it is healthy."""
    return tuple(
        replace(stage, manifests=tuple(_in_wave(one, stage.number) for one in stage.manifests)) for stage in parts
    )


def _in_wave(manifest: Object, wave: int) -> Object:
    metadata = manifest["metadata"]
    annotations = {
        **(metadata.get("annotations") or {}),  # null in the Service of istioctl's gateway
        "argocd.argoproj.io/sync-wave": str(wave),
        # CRDs are larger than the annotation that a client-side apply would keep
        "argocd.argoproj.io/sync-options": "ServerSideApply=true",
    }
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
