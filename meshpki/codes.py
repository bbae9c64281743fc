"""The catalogue of error codes: what each means, why it happens, how to fix it, and where that is written."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Entry:
    """One code; `what`, `why` and `mend` are prose, `source` names the specification or upstream file."""

    code: str
    title: str
    what: str
    why: str
    mend: str
    source: str


def catalogue() -> dict[str, Entry]:
    """Every entry of codes.toml by its code, in the order of the file."""
    text = files("meshpki").joinpath("codes.toml").read_text(encoding="utf-8")
    return {code: Entry(code, **parts) for code, parts in tomllib.loads(text).items()}
