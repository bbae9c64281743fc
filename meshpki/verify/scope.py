"""Which part of a mesh a look is at: what it proves holds for that part alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """What to look at: an empty namespace means all of them, no names means every workload."""

    namespace: str = ""
    selector: str = ""
    names: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Which pods these are, after a noun; empty where they are all of the mesh."""
        parts = (
            f"of {', '.join(self.names)}" if self.names else "",
            f"with labels {self.selector}" if self.selector else "",
            f"in namespace {self.namespace}" if self.namespace else "",
        )
        return " ".join(filter(None, parts))
