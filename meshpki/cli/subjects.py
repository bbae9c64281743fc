"""Whom a role is bound to, as it is written on the command line."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshpki.errors import UsageError

if TYPE_CHECKING:
    from meshpki.roles.role import Subject

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LIMIT = 253


def subjects_of(texts: Iterable[str]) -> "list[Subject]":
    """`user:NAME`, `group:NAME` or `serviceaccount:NAMESPACE/NAME`; raises UsageError (MPK-375) for another."""
    return [_subject(text) for text in texts]


def _subject(text: str) -> "Subject":
    from meshpki.roles.role import Subject

    kind, _, name = text.partition(":")
    namespace, _, account = name.partition("/")
    match kind:
        case "user" | "group" if 0 < len(name) <= _LIMIT and name.isprintable():
            return Subject(kind.capitalize(), name)
        case "serviceaccount" if _NAME.fullmatch(namespace) and _NAME.fullmatch(account):
            return Subject("ServiceAccount", account, namespace)
        case _:
            remedy = "write user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME"
            raise UsageError("MPK-375", f"`{text}` names no subject of a binding", remedy=remedy)
