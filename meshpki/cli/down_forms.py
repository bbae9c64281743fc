"""What `down` says at the end: what went and what stays, as text or as one document."""

import json
from dataclasses import dataclass

from meshpki.cli import output
from meshpki.cli.board import Board
from meshpki.cli.format import Format
from meshpki.cluster.manifest import Ref
from meshpki.errors import OK, MeshpkiError
from meshpki.remove.removal import Kept, Removal
from meshpki.remove.seen import CRD
from meshpki.settings.model import API_VERSION

KIND = "DownReport"


@dataclass(frozen=True)
class Outcome:
    """A removal that was carried out, or, of a dry run, would be; `forced` are pods that hung without their driver."""

    context: str
    removal: Removal
    board: Board
    forced: tuple[Ref, ...] = ()
    dry_run: bool = False
    refusals: tuple[MeshpkiError, ...] = ()

    @property
    def exit_code(self) -> int:
        """0; of a dry run, what the removal itself would be refused with."""
        return self.refusals[0].exit_code if self.refusals else OK

    def told(self, form: Format) -> str:
        """As text, or as one document (schemas/down-report.json)."""
        return self.as_json() if form is Format.JSON else output.plain(self.as_text())

    def as_text(self) -> str:
        """An object a line: what goes, what stays and why."""
        verb = "would delete" if self.dry_run else "deleted"
        lines = [f"{verb}  {part.step:<12}  {ref}" for part in self.removal.parts for ref in part.refs]
        lines += [f"{verb}  our labels of {ref}, which was there before meshpki" for ref in self.removal.released]
        lines += [f"forced   {ref}: it hung without its CSI driver" for ref in self.forced]
        lines += [f"stays  {one.ref}: {one.why}" for one in self.removal.kept]
        if self.removal.nothing:
            lines.append("nothing to remove: there is no mesh of meshpki's here")
        if self.dry_run:
            lines.append(output.DRY_RUN)
        return "\n".join([*lines, *self._next()])

    def as_json(self) -> str:
        """The whole result as one document."""
        content = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "context": self.context,
            "dryRun": self.dry_run,
            "root": self.removal.root or None,
            "steps": [] if self.dry_run else self.board.rows(),
            "deleted": [{"step": part.step, **_ref(ref)} for part in self.removal.parts for ref in part.refs],
            "released": [_ref(ref) for ref in self.removal.released],
            "forced": [_ref(ref) for ref in self.forced],
            "kept": [_kept(one) for one in self.removal.kept],
            "refused": [{"code": one.code, "what": one.what} for one in self.refusals],
        }
        return json.dumps(content, indent=2)

    def _next(self) -> list[str]:
        if self.dry_run or not self.removal.kept:
            return []
        purge = f"meshpki down --purge-ca --context {self.context}"
        back = f"meshpki up --context {self.context}"
        return ["next:", f"  {back}      (comes back under the same root)", f"  {purge}      (removes what stayed)"]


def intent(removal: Removal, *, purge: bool) -> list[str]:
    """What a person is asked about: how much goes, and what stays."""
    count = sum(len(part.objects) for part in removal.parts)
    crds = [one for one in removal.kept if one.ref.kind == CRD]
    lines = [f"to delete: {count} objects ({', '.join(part.step for part in removal.parts)})"]
    lines += [f"stays: {one.ref}: {one.why}" for one in removal.kept if one not in crds]
    lines += [f"stays: {len(crds)} CRDs"] if crds else []
    if purge and removal.root:
        lines.append(f"the key of {removal.root} is destroyed: what was issued under it is worth nothing afterwards")
    return lines


def _kept(one: Kept) -> dict[str, str]:
    return {**_ref(one.ref), "why": one.why}


def _ref(ref: Ref) -> dict[str, str]:
    return {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
