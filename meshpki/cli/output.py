"""Where words go: stdout carries data, stderr the story."""

import sys


def data(text: str) -> None:
    """Print what a program may read, to stdout."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def progress(text: str) -> None:
    """Print what a person follows, to stderr."""
    sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
    sys.stderr.flush()
