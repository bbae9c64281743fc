"""What the word after `inspect` means: a file, standard input, or one object of the cluster."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from meshpki.errors import UsageError

STDIN = "-"
_KINDS = {
    **dict.fromkeys(("pod", "pods", "po"), "Pod"),
    **dict.fromkeys(("secret", "secrets"), "Secret"),
    **dict.fromkeys(("configmap", "configmaps", "cm"), "ConfigMap"),
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SHOWN = 80
_OF_FILES = (".pem", ".crt", ".cer", ".der", ".key", ".json", ".txt")


@dataclass(frozen=True)
class FileTarget:
    """A file to read; `also` is the object that the same word could have meant, empty where it could not."""

    path: Path
    also: str = ""


@dataclass(frozen=True)
class ObjectTarget:
    """An object by kind and name; an empty namespace means wherever it is."""

    kind: str
    namespace: str
    name: str


Target = FileTarget | ObjectTarget


def there(path: Path) -> bool:
    """Whether there is such a file; a word that no path can be, as base64 that was pasted, is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def target_of(word: str, namespace: str, exists: Callable[[Path], bool] = there) -> Target:
    """Decide: with a namespace it is an object; a file that exists goes before an object of that name.

    A Secret is read only where it is named in full, `secret/NAME` with its namespace. Raises UsageError.
    """
    path = Path(word)
    if word == STDIN or (not namespace and exists(path)):
        return FileTarget(path, _also(word))
    kind, slash, name = word.partition("/")
    if not slash and not word.endswith(_OF_FILES):
        kind, name = "pod", word
    if kind.lower() not in _KINDS or not _NAME.fullmatch(name):
        remedy = "name a file, - for standard input, a pod, secret/NAME or configmap/NAME"
        what, shown = "there is no such file, and no object can be called that", word[:_SHOWN]
        raise UsageError("MPK-381", what, where=shown if shown == word else f"{shown}...", remedy=remedy)
    chosen = ObjectTarget(_KINDS[kind.lower()], namespace, name)
    if chosen.kind == "Secret" and not namespace:
        what = "a Secret is read only where its namespace is named: the whole of it, key included, crosses the wire"
        raise UsageError("MPK-383", what, where=word, remedy=f"meshpki inspect {word} -n NAMESPACE")
    return chosen


def _also(word: str) -> str:
    kind, slash, name = word.partition("/")
    if slash:
        return word if kind.lower() in _KINDS and _NAME.fullmatch(name) else ""
    return f"pod/{word}" if _NAME.fullmatch(word) and not word.endswith(_OF_FILES) else ""
