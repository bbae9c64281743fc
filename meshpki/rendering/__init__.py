"""Render: every manifest of an installation as files, in an order that kubectl, Argo CD or Flux can follow."""

from collections.abc import Iterable, Mapping

from meshpki.cluster.documents import document
from meshpki.rendering.stages import Stage, file_names, stages

__all__ = ["Stage", "files", "stages", "stream"]


def files(parts: Iterable[Stage]) -> Mapping[str, bytes]:
    """The files of the stages by their names in one folder, as `01-settings/010-configmap-meshpki.yaml`."""
    return {
        f"{stage.folder}/{name}": document(manifest).encode() for stage in parts for name, manifest in file_names(stage)
    }


def stream(parts: Iterable[Stage]) -> str:
    """All manifests in their order as one YAML stream, with a comment where a stage begins."""
    return "".join(f"# {stage.folder}\n{_documents(stage)}" for stage in parts)


def _documents(stage: Stage) -> str:
    return "".join(f"---\n{document(manifest)}" for manifest in stage.manifests)
