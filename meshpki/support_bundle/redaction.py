"""Text without its secrets: private keys, tokens, credentials in URLs, and what is assigned to a secret's name.

Every pattern reads a text once: a log that somebody wrote to slow it down costs what any other does.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from meshpki.support_bundle.keys import holds_private_key

HIDDEN = "***"

_LABEL = r"[A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
# the end may have been cut off; a key of 16384 bits in PEM is shorter than this
_PEM = re.compile(rf"-----BEGIN {_LABEL}(?:.{{0,20000}}?-----END {_LABEL}|.{{0,20000}})", re.DOTALL)
_END = re.compile(rf"-----END {_LABEL}")
_OF_PEM = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \r\n\t\\")

_ALPHABET = r"[A-Za-z0-9+/_-]"
# a line's end, also escaped, also twice
_BREAK = r"(?:\\{1,4}[nr]|[ \t\r\n])"
# base64, also over several lines; the dots are those of a JWT
_RUN = re.compile(
    rf"[A-Za-z0-9+/_.-]{{20,}}(?:{_BREAK}{{1,8}}{_ALPHABET}{{20,}})*(?:{_BREAK}{{1,8}}{_ALPHABET}{{1,20}}=)?={{0,2}}"
)
_SEPARATORS = re.compile(rf"{_BREAK}+")
_NOT_BASE64 = re.compile(r"[.=]+")
_JWT_BEGINS, _JWT_DOTS = "eyJ", 2
_QUANTUM = 4
_NESTED = 2  # base64 within base64, and no deeper

# a password may hold any sign, also those that it should not
_USERINFO = re.compile(r"""(?<=://)(?:[^\s/"'<>]{1,512}@|[^\s/@:"'<>]{1,128}:(?!\d{1,5}/)[^\s"'<>]{1,512}@)""")
# by how their makers begin them: GitHub, GitLab, Vault, AWS, Slack
_TOKEN = re.compile(
    r"\b(?:gh[pousr]_\w{16,}|glpat-[\w-]{16,}|hv[sbr]\.[\w.-]{16,}|A[KS]IA[0-9A-Z]{16}|xox[abeprs]-[\w-]{10,})"
)
_BEARER = re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]{8,}")

_REFERENCE = re.compile(r"[a-z0-9][-a-z0-9.]*/[a-z0-9][-a-z0-9.]*")
_WORD = r"(?:password|passwd|passphrase|pass|pwd|secret|token|credentials?|authorization|cookie|key)"
_ASSIGNED = re.compile(
    rf"(?i)(?P<word>{_WORD})(?P<sign>\\*[\"']?(?:[ \t]*(?:[:=]>?|%3D)[ \t]*))"
    r"""(?P<value>\[[^\]\n]{0,4096}\]?"""
    r"""|[|>][-+\d]?[ \t]*(?:\n[ \t]+[^\n]*)+|\\+"(?:[^"\\\n]|\\(?!"))*\\+"|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
    r"""|(?<=[:=>][ \t])[^\n"'\\]+|[^\s"'\\,;&)}\]]+)"""
)
_OPTION = re.compile(rf"(?i)(?<=\s)(?P<name>--?[\w-]*{_WORD})(?P<space>[ \t]+)[^\s-][^\s\"']*")


def redacted(text: str) -> str:
    """The text without anything that is a secret by its form or by the name that it is assigned to."""
    shown = _OPTION.sub(lambda found: f"{found['name']}{found['space']}{HIDDEN}", without_forms(text))
    return _ASSIGNED.sub(_assigned, shown)


def each_text(value: object, change: Callable[[str], str]) -> object:
    """Plain data with every text in it changed; keys stay."""
    match value:
        case dict():
            return {key: each_text(one, change) for key, one in value.items()}
        case list():
            return [each_text(one, change) for one in value]
        case str():
            return change(value)
        case _:
            return value


def without_forms(text: str, nested: int = _NESTED) -> str:
    """The text without what is a secret by its form alone, whatever stands before it."""
    shown = _without_ends(_PEM.sub(HIDDEN, text))
    shown = _RUN.sub(lambda found: HIDDEN if _secret(found[0], nested) else found[0], shown)
    return _TOKEN.sub(HIDDEN, _BEARER.sub(HIDDEN, _USERINFO.sub(f"{HIDDEN}@", shown)))


def _assigned(found: re.Match[str]) -> str:
    """`secret=namespace/name` and `key=namespace/name` of a log name an object."""
    value = found["value"].strip("\\\"'")
    names = found["word"].lower() in ("secret", "key") and _REFERENCE.fullmatch(value)
    if names or value == HIDDEN:
        return found[0]
    quote = '"' if found["value"].startswith('"') else ""
    return f"{found['word']}{found['sign']}{quote}{HIDDEN}{quote}"


def _without_ends(text: str) -> str:
    """Where the beginning of a key was cut off: what may be of it before its END line."""
    kept, last = [], 0
    for end in _END.finditer(text):
        start = end.start()
        while start > last and text[start - 1] in _OF_PEM:
            start -= 1
        kept += [text[last:start], HIDDEN]
        last = end.end()
    return "".join([*kept, text[last:]])


def _secret(run: str, nested: int) -> bool:
    if _JWT_BEGINS in run and run.count(".") >= _JWT_DOTS:
        return True
    return any(_decodes_to_secret(part, nested) for part in _NOT_BASE64.split(_SEPARATORS.sub("", run)))


def _decodes_to_secret(part: str, nested: int) -> bool:
    """Whether base64 is a private key, wherever in it that begins, or a text with a secret in it."""
    if any(holds_private_key(content) for content in _decoded(part)):
        return True
    content = next(_decoded(part), b"")
    if not nested or not content:
        return False
    text = content.decode(errors="replace")
    plain = text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() and "\ufffd" not in text
    return plain and (without_forms(text, nested - 1) != text or _ASSIGNED.sub(_assigned, text) != text)


def _decoded(part: str) -> Iterator[bytes]:
    """What the characters say, from each of the four places where a quantum may begin."""
    standard = part.replace("-", "+").replace("_", "/")
    for start in range(min(_QUANTUM, len(standard))):
        rest = standard[start:]
        whole = rest[: len(rest) - 1] if len(rest) % _QUANTUM == 1 else rest
        try:
            yield base64.b64decode(whole + "=" * (-len(whole) % _QUANTUM))
        except binascii.Error:
            continue
