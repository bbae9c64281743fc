"""How many connections may be open at once, and from when: less after a refusal, then slowly more again."""


class Pace:
    """Decides by seconds of any one clock; begins with `width`, which it never exceeds."""

    def __init__(self, width: int) -> None:
        """Allow `width` connections from the beginning."""
        self._width = self.limit = width
        self.resumes = self._lowered = float("-inf")
        self._answered = 0

    def allows(self, underway: int, now: float) -> bool:
        """Whether one more may begin."""
        return underway < self.limit and now >= self.resumes

    def refused(self, begun: float, now: float, after: float) -> None:
        """The API server refused what was `begun`, and asks to come again `after` some seconds.

        The limit halves once for all that was under way together, as each of them meets the same refusal.
        """
        self.resumes = max(self.resumes, now + after)
        if begun > self._lowered:
            self.limit, self._lowered, self._answered = max(1, self.limit // 2), now, 0

    def answered(self) -> None:
        """An answer came; as many as the limit raise it by one."""
        self._answered += 1
        if self._answered >= self.limit:
            self.limit, self._answered = min(self._width, self.limit + 1), 0
