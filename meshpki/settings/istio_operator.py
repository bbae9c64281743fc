"""The shapes of Istio that meshpki does not install, as far as the overlay on the IstioOperator asks for them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from meshpki.settings.model import Settings
from meshpki.settings.problem import Problem, shown
from meshpki.settings.tree import MappingNode, Node, ScalarNode, SequenceNode

# istio 1.29.1, operator/pkg/apis/types.go: IstioOperatorSpec
SPEC_KEYS = (
    "profile",
    "installPackagePath",
    "hub",
    "tag",
    "namespace",
    "revision",
    "compatibilityVersion",
    "meshConfig",
    "components",
    "values",
    "unvalidatedValues",
)

_AMBIENT = "remove it: meshpki installs sidecars; SPIRE has no identities for ztunnel yet"
_REVISION = "remove it: meshpki installs one revision, the default"
_CONTRADICTION = "remove it here, and set it once, as a setting of meshpki"
_NEEDED = "remove it: `up` waits for istiod and its gateway, which hold the mesh's identities"
_GATEWAY = "istio-ingressgateway"
_GATEWAYS = ("components", "ingressGateways")


@dataclass(frozen=True)
class _Refusal:
    code: str
    path: tuple[str, ...]
    refused: Callable[[str, Settings], bool]
    remedy: str


def _true(text: str, _: Settings) -> bool:
    return text.lower() == "true"


def _false(text: str, _: Settings) -> bool:
    return text.lower() == "false"


def _without_istiod(text: str, _: Settings) -> bool:
    return text in ("empty", "remote")


def _ambient(text: str, _: Settings) -> bool:
    return "ambient" in text


def _given(text: str, _: Settings) -> bool:
    return bool(text)


def _other_trust_domain(text: str, settings: Settings) -> bool:
    return text != settings.trust_domain


def _other_namespace(text: str, settings: Settings) -> bool:
    return text != settings.namespaces.istio


_REFUSALS = (
    _Refusal("MPK-023", ("profile",), _ambient, _AMBIENT),
    _Refusal("MPK-023", ("values", "profile"), _ambient, _AMBIENT),
    _Refusal("MPK-023", ("components", "ztunnel", "enabled"), _true, _AMBIENT),
    _Refusal("MPK-023", ("components", "cni", "enabled"), _true, _AMBIENT),
    _Refusal("MPK-023", ("values", "pilot", "env", "PILOT_ENABLE_AMBIENT"), _true, _AMBIENT),
    _Refusal("MPK-023", ("values", "cni", "ambient", "enabled"), _true, _AMBIENT),
    _Refusal("MPK-023", ("values", "pilot", "cni", "enabled"), _true, _AMBIENT),
    _Refusal("MPK-024", ("revision",), _given, _REVISION),
    _Refusal("MPK-024", ("values", "revision"), _given, _REVISION),
    _Refusal("MPK-024", ("values", "global", "revision"), _given, _REVISION),
    _Refusal("MPK-025", ("profile",), _without_istiod, _NEEDED),
    _Refusal("MPK-025", ("values", "profile"), _without_istiod, _NEEDED),
    _Refusal("MPK-025", ("components", "pilot", "enabled"), _false, _NEEDED),
    _Refusal("MPK-025", ("meshConfig", "trustDomain"), _other_trust_domain, _CONTRADICTION),
    _Refusal("MPK-025", ("values", "meshConfig", "trustDomain"), _other_trust_domain, _CONTRADICTION),
    _Refusal("MPK-025", ("values", "global", "trustDomain"), _other_trust_domain, _CONTRADICTION),
    _Refusal("MPK-025", ("namespace",), _other_namespace, _CONTRADICTION),
    _Refusal("MPK-025", ("values", "global", "istioNamespace"), _other_namespace, _CONTRADICTION),
)
_GATEWAY_REFUSALS = (
    _Refusal("MPK-025", ("enabled",), _false, _NEEDED),
    _Refusal("MPK-025", ("namespace",), _other_namespace, _NEEDED),
)


def refusals(operator: MappingNode, settings: Settings) -> Iterator[Problem]:
    """What the overlay asks for and meshpki refuses: unknown keys (MPK-006), ambient (MPK-023), revisions
    (MPK-024), values that contradict a setting, and a gateway that is taken away (MPK-025).
    """
    for key, where in operator.keys.items():
        if key not in SPEC_KEYS:
            remedy = f"give fields of the spec: {', '.join(SPEC_KEYS)}"
            yield Problem(
                "MPK-006", where, f"istio.operator: {shown(key)} is no field of an IstioOperator's spec", remedy
            )
    yield from _refused(operator, _REFUSALS, "istio.operator.", settings)
    yield from _gateway_problems(operator, settings)
    tags = _at(operator, ("values", "revisionTags"))
    if tags is not None and not isinstance(tags, ScalarNode):
        yield Problem("MPK-024", tags.where, "istio.operator.values.revisionTags is not supported", _REVISION)


def _refused(node: Node, rules: Iterable[_Refusal], name: str, settings: Settings) -> Iterator[Problem]:
    """The rules that a part of the overlay breaks; `name` is how the part is called before a rule's path."""
    for rule in rules:
        value = _at(node, rule.path)
        if isinstance(value, ScalarNode) and value.tag != "null" and rule.refused(value.text, settings):
            what = f"{name}{'.'.join(rule.path)}: {shown(value.text)} is not supported"
            yield Problem(rule.code, value.where, what, rule.remedy)


def _gateway_problems(operator: MappingNode, settings: Settings) -> Iterator[Problem]:
    """A list whose entries have names is laid over meshpki's own by these; any other would take its place."""
    node, path = _at(operator, _GATEWAYS), f"istio.operator.{'.'.join(_GATEWAYS)}"
    if node is None:
        return
    entries = node.items if isinstance(node, SequenceNode) else ()
    if not entries or not all(isinstance(one, MappingNode) and "name" in one.entries for one in entries):
        remedy = "give each entry a name: it is laid over meshpki's own of that name, or added"
        yield Problem("MPK-025", node.where, f"{path} would take the mesh's own gateway away", remedy)
    for one in entries:
        if _text(one, "name") == _GATEWAY:
            yield from _refused(one, _GATEWAY_REFUSALS, f"{path}, {_GATEWAY}: ", settings)


def _text(node: Node, key: str) -> str:
    value = _at(node, (key,))
    return value.text if isinstance(value, ScalarNode) else ""


def _at(node: Node, path: tuple[str, ...]) -> Node | None:
    for key in path:
        if not isinstance(node, MappingNode) or key not in node.entries:
            return None
        node = node.entries[key]
    return node
