"""Whether an AuthorizationPolicy's rule meets one request, in three values (istio.io, Authorization Policy).

None stands for what cannot be told beforehand: addresses, ports of a gateway, conditions on anything but tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meshpki.cluster.manifest import Object

Maybe = bool | None


@dataclass(frozen=True)
class Asked:
    """A request as a policy sees it; `principal` is empty without mTLS, and no request of the probe bears a token."""

    principal: str
    namespace: str
    host: str
    path: str = "/"
    method: str = "GET"


def meets(policy: Object, asked: Asked) -> Maybe:
    """Whether any rule of a policy meets the request; a policy without rules meets none."""
    rules = policy.get("spec", {}).get("rules") or []
    return _any(_rule(rule or {}, asked) for rule in rules)


def _rule(rule: Object, asked: Asked) -> Maybe:
    source = _any(_fields(one.get("source") or {}, asked) for one in rule["from"]) if rule.get("from") else True
    to = _any(_fields(one.get("operation") or {}, asked) for one in rule["to"]) if rule.get("to") else True
    return _all([source, to, *(_condition(one) for one in rule.get("when") or [])])


def _fields(fields: Object, asked: Asked) -> Maybe:
    return _all(_field(name, values, asked) for name, values in fields.items() if values)


def _field(name: str, values: Sequence[str], asked: Asked) -> Maybe:
    plain = name.removeprefix("not")
    negated, kind = plain != name, plain[:1].lower() + plain[1:]
    found = _values(kind, values, asked)
    return found if found is None or not negated else not found


def _values(kind: str, values: Sequence[str], asked: Asked) -> Maybe:
    """A field without an entry is one that cannot be told; no request of the probe bears a token."""
    if kind == "requestPrincipals":
        return False
    known = {
        "principals": asked.principal,
        "namespaces": asked.namespace,
        "hosts": asked.host,
        "methods": asked.method,
        "paths": asked.path,
    }
    if kind not in known or any("{" in value for value in values):
        return None
    return _matches([value.lower() for value in values] if kind == "hosts" else values, known[kind])


def _condition(condition: Object) -> Maybe:
    if not str(condition.get("key", "")).startswith("request.auth."):
        return None
    return not condition.get("values")


def _matches(patterns: Iterable[str], value: str) -> bool:
    return any(_match(pattern, value) for pattern in patterns)


def _match(pattern: str, value: str) -> bool:
    if pattern == "*":
        return value != ""
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def _all(parts: Iterable[Maybe]) -> Maybe:
    seen = list(parts)
    return False if False in seen else None if None in seen else True


def _any(parts: Iterable[Maybe]) -> Maybe:
    seen = list(parts)
    return True if True in seen else None if None in seen else False
