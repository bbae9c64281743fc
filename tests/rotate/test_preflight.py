"""Tables of what is wrong with a mesh -> the code with which rotating its root is refused; all are told at once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from meshpki.cluster.manifest import Object, Ref
from meshpki.components.trust import ALIAS
from meshpki.errors import PreconditionError
from meshpki.rotate.acts import anchors_text
from meshpki.rotate.preflight import Seen, examine, look
from meshpki.settings import Settings
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.requesters import PLACE as REQUESTERS
from tests.support import certificates as made
from tests.support.mesh import pod
from tests.support.rotating import SETTINGS, Rotating, rotating

PLANNED = timedelta(minutes=10)
SERVER: Object = {
    "spec": {
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
        "template": {"spec": {"containers": [{"name": "spire-server", "image": "ghcr.io/spiffe/spire-server:1.15.3"}]}},
    }
}
MULTI_ROOT = {"name": "ISTIO_MULTIROOT_MESH", "value": "true"}
MESH = 'defaultConfig:\n  proxyMetadata:\n    PROXY_CONFIG_XDS_AGENT: "true"\n'


def looked(mesh: Rotating, excepted: tuple[str, ...] = ()) -> Seen:
    """One look; what the mesh in memory does not have is filled in."""
    mesh.server_date = mesh.hours.now()
    at = datetime.now(UTC).replace(microsecond=0)
    seen = look(mesh, SETTINGS, lambda: at, at + PLANNED, excepted)
    return replace(
        seen, spire_server=SERVER, spire_config='KeyManager "disk" {}', istiod=istiod(MULTI_ROOT), mesh_config=MESH
    )


def istiod(*env: Object) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "discovery", "env": list(env)}]}}}}


def image(tag: str) -> Object:
    containers = [{"name": "sidecar", "image": "x:1.0"}, {"name": "spire-server", "image": f"registry:5000/spire{tag}"}]
    return {"spec": {**SERVER["spec"], "template": {"spec": {"containers": containers}}}}


@cache
def good() -> Seen:
    return looked(rotating())


def codes(seen: Seen, settings: Settings = SETTINGS) -> list[str]:
    return [found.code for found in examine(seen, settings)]


def test_a_mesh_that_meshpki_installed_may_be_rotated() -> None:
    assert codes(good()) == []


WRONG: Mapping[str, tuple[Callable[[Seen], Seen], list[str]]] = {
    "a right is missing": (lambda seen: replace(seen, missing_rights=("patch secrets",)), ["MPK-118"]),
    "the alias is elsewhere": (lambda seen: replace(seen, alias="x"), ["MPK-438"]),
    "the alias is away": (lambda seen: replace(seen, alias=""), ["MPK-438"]),
    "SPIRE prepares too soon": (lambda seen: replace(seen, ends=seen.at + timedelta(hours=13)), ["MPK-432"]),
    "SPIRE activates too": (lambda seen: replace(seen, ends=seen.at + timedelta(hours=21)), ["MPK-432"] * 2),
    "the root ends too soon": (
        lambda seen: replace(seen, slots=(), cacerts=None, ends=seen.pin.root.not_after),
        ["MPK-432"],
    ),
    "cacerts is renewed": (lambda seen: replace(seen, slots=(), ends=seen.at + timedelta(days=31)), ["MPK-432"]),
    "no volume": (lambda seen: replace(seen, spire_server=image(":1.15.3") | {"spec": {}}), ["MPK-433"]),
    "keys in memory": (lambda seen: replace(seen, spire_config='KeyManager "memory" {}'), ["MPK-433"]),
    "an old SPIRE": (lambda seen: replace(seen, spire_server=image(":1.10.4")), ["MPK-433"]),
    "one root alone": (lambda seen: replace(seen, istiod=istiod()), ["MPK-434"]),
    "one root alone, said": (lambda seen: replace(seen, istiod=istiod(MULTI_ROOT | {"value": "false"})), ["MPK-434"]),
    "deaf proxies": (lambda seen: replace(seen, mesh_config=""), ["MPK-434"]),
    "deaf proxies, said": (lambda seen: replace(seen, mesh_config=MESH.replace("true", "false")), ["MPK-434"]),
    "another text": (lambda seen: replace(seen, istio_bundle="# ours\n" + seen.istio_bundle), ["MPK-435"]),
    "no text": (lambda seen: replace(seen, istio_bundle=""), ["MPK-435"]),
    "two things": (lambda seen: replace(seen, alias="x", istio_bundle=""), ["MPK-438", "MPK-435"]),
}


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_with_its_code(change: Callable[[Seen], Seen], expected: list[str]) -> None:
    assert codes(change(good())) == expected


def going_on() -> Seen:
    """A rotation under way: what it has changed itself is as no rotation could be begun with."""
    seen = good()
    both = made.root(made.ROOT.but(not_after=made.AT + timedelta(days=9000))).certificate, seen.pin.root
    return replace(seen, pin=replace(seen.pin, generation=2, roots=both), alias="x", istio_bundle="")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda seen: seen, []),
        *(WRONG[name] for name in ("a right is missing", "no volume", "deaf proxies")),
        (lambda seen: replace(seen, slots=(), ends=seen.at + timedelta(days=31)), ["MPK-432"]),
        (lambda seen: replace(seen, slots=(), cacerts=None, ends=seen.pin.roots[1].not_after), ["MPK-432"]),
    ],
    ids=["well", "a right is missing", "no volume", "deaf proxies", "cacerts is renewed", "the old root ends too soon"],
)
def test_a_rotation_that_is_gone_on_with_is_asked_what_may_have_changed_since(
    change: Callable[[Seen], Seen], expected: list[str]
) -> None:
    found = examine(change(going_on()), SETTINGS)
    assert [one.code for one in found] == expected
    assert not [one for one in found if "rotate spire-ca" in one.remedy]  # which two pinned roots forbid


@pytest.mark.parametrize("tag", [":v1.11.0", ":1.11", ":2", ":nightly", "@sha256:0123abcd", ""])
def test_a_version_that_is_new_enough_or_unknown_is_let_through(tag: str) -> None:
    assert codes(replace(good(), spire_server=image(tag))) == []


@pytest.mark.parametrize("text", ["PROXY_CONFIG_XDS_AGENT: true", '{"PROXY_CONFIG_XDS_AGENT":"true"}'])
def test_the_mesh_configuration_is_yaml_in_whatever_style(text: str) -> None:
    assert codes(replace(good(), mesh_config=text)) == []


def test_a_root_that_the_settings_name_cannot_be_left() -> None:
    named = replace(SETTINGS, root=replace(SETTINGS.root, fingerprint="ab" * 32))
    assert codes(good(), named) == ["MPK-439"]


def test_a_ca_whose_key_identifier_spire_does_not_find_again_is_refused() -> None:
    mesh = rotating()
    server = mesh.spire.servers["spire-server-0"]
    shape = mesh.cert_manager.dated(made.SPIRE_CA.but(ski=b"0123456789abcdefghij"))
    server.active.ca = server.serving = mesh.cert_manager.signer().issue(shape)
    assert "MPK-433" in codes(looked(mesh))


def unread(mesh: Rotating) -> None:
    del mesh.listeners["client-5d9-x", 15000]


def of_another_root(mesh: Rotating) -> None:
    stranger = made.root(mesh.cert_manager.dated(made.ROOT))
    one = mesh.spire.workloads["client-5d9-x"]
    one.ca, one.anchors = stranger.issue(mesh.cert_manager.dated(made.SPIRE_CA)), (stranger,)


@pytest.mark.parametrize("broken", [unread, of_another_root])
def test_a_pod_that_is_not_proven_is_refused_unless_it_may_be_left_behind(broken: Callable[[Rotating], None]) -> None:
    mesh = rotating()
    broken(mesh)
    assert codes(looked(mesh)) == ["MPK-431"]
    assert codes(looked(mesh, ("bookinfo/client-5d9-x",))) == []
    assert codes(looked(mesh, ("bookinfo/reviews-5d9-x",))) == ["MPK-431"]


def test_neither_a_pod_without_a_proxy_nor_roles_that_may_not_be_read_hold_up_a_rotation() -> None:
    mesh = rotating()
    bare = pod("bare-5d9-x")
    bare["metadata"]["labels"], bare["spec"]["initContainers"] = {"sidecar.istio.io/inject": "true"}, []
    mesh.put(bare)
    found = looked(mesh)
    place = PlaceVerdict(REQUESTERS, "unknown", reason="list refused")
    report = replace(found.report, places=(*found.report.places, place))
    assert report.results["unknown"] == 2
    assert codes(replace(found, report=report)) == []


def test_a_root_whose_key_was_lost_is_refused_before_anything_is_written() -> None:
    mesh = rotating()
    mesh.cert_manager.lose(Ref("v1", "Secret", "cert-manager", f"{ALIAS}-g1"))
    mesh.hours.pass_by(5)
    assert codes(looked(mesh)) == ["MPK-431"]
    assert mesh.writes == []


def test_nothing_is_rotated_where_nothing_is_installed() -> None:
    mesh = rotating()
    mesh.objects = {ref: one for ref, one in mesh.objects.items() if ref.name != "meshpki-trust"}
    with pytest.raises(PreconditionError, match="MPK-353"):
        looked(mesh)


def test_no_secret_is_read() -> None:
    mesh = rotating()
    looked(mesh)
    assert not [what for verb, what in mesh.requests if "Secret" in what]


def test_the_text_of_a_bundle_is_that_of_its_roots_in_their_order() -> None:
    mesh = rotating()
    seen = looked(mesh)
    assert seen.istio_bundle == anchors_text(seen.pin.roots)
