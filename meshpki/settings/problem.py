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
        """Take at least one problem; the first one gives the error its code; one alone its place, too."""
        self.problems = tuple(problems[:MOST])
        first = self.problems[0]
        if len(self.problems) == 1:
            super().__init__(first.code, first.what, where=first.where, remedy=first.remedy)
        else:
            count = f"the settings have {len(self.problems)} problems:"
            what = "\n".join((count, *(f"  {problem}" for problem in self.problems)))
            super().__init__(first.code, what, remedy="fix each, then `meshpki config validate`")


def shown(text: str) -> str:
    """A text of the user's as it stands in a message: its first 60 characters, in quotes and on one line."""
    return f"`{text[:60]}`" if text.isprintable() else repr(text[:60])
