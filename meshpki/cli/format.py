"""The value of `-o` where a command answers in words or in JSON."""

from enum import StrEnum


class Format(StrEnum):
    """How an answer is written; exit codes never depend on it."""

    TEXT = "text"
    JSON = "json"
