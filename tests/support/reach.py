"""Processes that reach one address of a network alone, whatever way they take: a proxy's settings are none of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

_HOOK = Path(__file__).with_name("one_address")


def reaching(url: str, notes: Path, given: Mapping[str, str]) -> dict[str, str]:
    """An environment whose Python processes reach the server at `url` alone; `notes` is where they note what they ask.

    Programs that are not Python's own are not held by it.
    """
    server = urlsplit(url)
    path = os.pathsep.join(filter(None, (str(_HOOK), given.get("PYTHONPATH"))))
    address = f"{server.hostname}:{server.port or 443}"
    return {**given, "PYTHONPATH": path, "TEST_ONE_ADDRESS": address, "TEST_ADDRESSES": str(notes)}


def asked_for(environment: Mapping[str, str]) -> set[str]:
    """Every server that they have asked for, by HOST:PORT; a name that was looked up counts with its port."""
    notes = Path(environment["TEST_ADDRESSES"])
    return set(notes.read_text(encoding="utf-8").splitlines()) if notes.exists() else set()
