"""What is wrong with settings, all of it at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshpki.errors import UsageError

MOST = 100  # nobody reads more, and a hostile file could hold a million


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the settings; `where` is file:line, `code` is what `meshpki explain` knows it by."""

    code: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        """One line: code, place, what is wrong, what to do."""
        return f"{self.code} {self.where}: {self.what}: {self.remedy}"


class SettingsError(UsageError):
    """The settings cannot be used; `problems` holds every reason, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take at least one problem; the first one gives the error its code and place."""
        self.problems = tuple(problems[:MOST])
        first = self.problems[0]
        if len(self.problems) == 1:
            super().__init__(first.code, first.what, where=first.where, remedy=first.remedy)
        else:
            what = f"the settings have {len(self.problems)} problems"
            super().__init__(first.code, what, where=first.where, remedy="mend each, then `meshpki config validate`")

    def __str__(self) -> str:
        """Each problem on a line of its own; a single one as any other error."""
        if len(self.problems) == 1:
            return super().__str__()
        return "\n".join((f"{self.what}:", *(f"  {problem}" for problem in self.problems)))
