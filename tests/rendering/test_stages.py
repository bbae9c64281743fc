"""What is rendered, in which order, and for whom: looked at as data, and applied to a cluster in memory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from meshpki.cluster.manifest import Object, owned, ref_of
from meshpki.components.istioctl import RECORD
from meshpki.components.trust import PIN
from meshpki.errors import StepError
from meshpki.install import Target, steps, wish_manifest
from meshpki.planning import Action, look
from meshpki.rendering import Stage, files, stages, stream
from meshpki.rendering.argocd import in_waves
from meshpki.rendering.flux import kustomizations
from meshpki.rendering.kubectl import commands
from meshpki.rendering.waits import waits_for
from meshpki.settings import Approval, Settings, defaults, read_text
from meshpki.workflow.plan import Plan
from meshpki.workflow.step import Step
from tests.support.cluster import InMemoryCluster, config_map, namespace
from tests.support.releases import istioctl, releases

FOLDERS = [
    "01-settings",
    "02-cert-manager-crds",
    "03-cert-manager",
    "04-root-ca",
    "05-istiod-ca",
    "06-spire-crds",
    "07-spire",
    "08-spire-agent",
    "09-spiffe-csi-driver",
    "10-istio",
    "11-istio-gateway",
    "12-workloads",
]


@pytest.fixture
def planned(tmp_path: Path) -> tuple[Step, ...]:
    """The real steps; cert-manager's here also has objects of its own kinds, so that its CRDs come alone."""
    made = steps(defaults(), releases(tmp_path), Target())
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": "x", "namespace": "cert-manager"},
    }
    return (replace(made[0], manifests=(*made[0].manifests, issuer)), *made[1:])


@pytest.fixture
def parts(planned: tuple[Step, ...]) -> tuple[Stage, ...]:
    return stages(planned, wish_manifest(defaults()))


def parsed(rendered: bytes) -> Object:
    return yaml.safe_load(rendered)  # type: ignore[no-any-return]


def test_the_stages_come_in_the_order_of_the_steps(parts: tuple[Stage, ...]) -> None:
    assert [stage.folder for stage in parts] == FOLDERS


def test_files_are_numbered_in_the_order_of_applying_with_names_that_any_system_takes(
    parts: tuple[Stage, ...],
) -> None:
    names = [name for name in files(parts) if name.startswith("03-")]
    assert (
        names
        == sorted(names)
        == [
            "03-cert-manager/010-namespace-cert-manager.yaml",
            "03-cert-manager/020-clusterrole-cert-manager-controller.yaml",
            "03-cert-manager/030-clusterrolebinding-cert-manager-controller.yaml",
            "03-cert-manager/040-validatingwebhookconfiguration-cert-manager-webhook.yaml",
            "03-cert-manager/050-issuer-x.yaml",
        ]
    )


def test_every_manifest_of_every_step_is_rendered_once_and_reads_back_as_it_is(
    planned: tuple[Step, ...], parts: tuple[Stage, ...]
) -> None:
    rendered = [parsed(content) for content in files(parts).values()]
    wanted = [owned(wish_manifest(defaults()), "settings")]
    wanted += [owned(one, step.name) for step in planned for one in step.objects]
    by_name = {ref_of(one): one for one in rendered}
    assert len(by_name) == len(rendered)
    assert [one for one in wanted if by_name[ref_of(one)] != one] == []
    assert PIN not in by_name
    assert RECORD in by_name


def test_the_stream_holds_what_the_files_hold(parts: tuple[Stage, ...]) -> None:
    assert list(yaml.safe_load_all(stream(parts))) == [parsed(content) for content in files(parts).values()]


def test_a_stage_keeps_its_number_when_it_is_rendered_alone(parts: tuple[Stage, ...]) -> None:
    alone = [stage for stage in parts if stage.step == "spire"]
    assert {name.partition("/")[0] for name in files(alone)} == set(FOLDERS[5:9])


def applied(parts: Sequence[Stage]) -> InMemoryCluster:
    """A cluster to which every file was applied in its order; it refuses what comes too early."""
    memory = InMemoryCluster(needs_crds=True)
    memory.put(namespace("default"), namespace("kube-system"))
    for content in files(parts).values():
        memory.apply(parsed(content))
    memory.requests.clear()
    return memory


def test_after_all_files_were_applied_in_their_order_a_plan_has_nothing_but_the_pin_to_do(
    planned: tuple[Step, ...], parts: tuple[Stage, ...]
) -> None:
    memory = applied(parts)
    report = look(Plan(planned), wish_manifest(defaults()), memory)
    assert {one.action for one in report.objects} == {Action.SAME}
    assert [one.name for one in report.programs] == ["pin"]
    assert memory.writes == []


def changed_image(memory: InMemoryCluster) -> None:
    live = next(one for ref, one in memory.objects.items() if ref.name == "istiod" and ref.kind == "Deployment")
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "other"


def lost(memory: InMemoryCluster) -> None:
    gateway = next(ref for ref in memory.objects if ref.name == "istio-ingressgateway")
    del memory.objects[gateway]


@pytest.mark.parametrize("harm", [changed_image, lost])
def test_of_an_istio_that_is_not_as_rendered_the_plan_says_what_istioctl_would_do(
    planned: tuple[Step, ...], parts: tuple[Stage, ...], harm: object
) -> None:
    memory = applied(parts)
    harm(memory)  # type: ignore[operator]
    report = look(Plan(planned), wish_manifest(defaults()), memory)
    program = next(one for one in report.programs if one.name == "istioctl install")
    assert len([one for one in program.objects if one.action is not Action.SAME]) == 1


def test_with_other_settings_for_istio_its_mark_is_of_the_ones_before(parts: tuple[Stage, ...], tmp_path: Path) -> None:
    other = read_text(
        "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nistio: {operator: {values: {pilot: {env: {A: b}}}}}\n", "test"
    )
    memory = applied(parts)
    report = look(Plan(steps(other, releases(tmp_path), Target())), wish_manifest(other), memory)
    assert "istioctl install" in [one.name for one in report.programs]


def test_what_istioctl_refuses_is_told_in_its_own_words(tmp_path: Path) -> None:
    found = replace(
        releases(tmp_path), istioctl=istioctl(tmp_path / "broken.tar.gz", "echo 'unknown field' >&2; exit 1")
    )
    with pytest.raises(StepError, match="unknown field") as refused:
        stages(steps(defaults(), found, Target()), wish_manifest(defaults()))
    assert refused.value.code == "MPK-222"


def test_kubectl_applies_each_stage_as_our_own_field_manager_and_waits_before_the_next(
    parts: tuple[Stage, ...],
) -> None:
    lines = list(commands(parts, Path("my mesh")))
    applies = [line for line in lines if " apply " in line]
    assert applies == [
        f"kubectl apply --server-side --field-manager=meshpki -f 'my mesh/{folder}'" for folder in FOLDERS
    ]
    before_agent = lines[: lines.index(applies[7])]
    assert before_agent[-2:] == [
        "kubectl -n spire-server rollout status statefulset/spire-server --timeout=300s",
        "kubectl -n spire-system wait '--for=jsonpath={.data}' configmap/spire-bundle --timeout=300s",
    ]


WAITS: list[tuple[Object, list[str]]] = [
    (config_map("full", key="1"), []),
    (config_map("filled-later"), ["kubectl -n default wait '--for=jsonpath={.data}' configmap/filled-later"]),
    (
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "n"}},
        ["kubectl -n n rollout status daemonset/d"],
    ),
    (
        {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "i"}},
        ["kubectl wait --for=condition=Ready clusterissuer.cert-manager.io/i"],
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "m"},
        },
        ["kubectl wait '--for=jsonpath={.webhooks[0].clientConfig.caBundle}' mutatingwebhookconfiguration/m"],
    ),
    (
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "c"}},
        ["kubectl wait --for=condition=Established customresourcedefinition/c"],
    ),
]


@pytest.mark.parametrize(("manifest", "lines"), WAITS, ids=str)
def test_what_is_waited_for_hangs_on_the_kind(manifest: Object, lines: list[str]) -> None:
    assert [wait.command() for wait in waits_for([manifest])] == [f"{line} --timeout=300s" for line in lines]


def test_argo_cd_gets_the_stages_as_sync_waves_and_the_same_manifests_otherwise(parts: tuple[Stage, ...]) -> None:
    theirs = ("argocd.argoproj.io/sync-wave", "argocd.argoproj.io/sync-options")
    plain, waved = files(parts), files(in_waves(parts))
    assert list(plain) == list(waved)
    for name, content in waved.items():
        manifest = parsed(content)
        notes = manifest["metadata"]["annotations"]
        assert [notes.pop(key) for key in theirs] == [str(int(name[:2])), "ServerSideApply=true"]
        before = parsed(plain[name])
        assert {**manifest, "metadata": {**manifest["metadata"], "annotations": notes or None}} == {
            **before,
            "metadata": {**before["metadata"], "annotations": before["metadata"].get("annotations")},
        }


def test_annotations_that_istioctl_left_null_are_none_for_argo_cd() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "istio-ingressgateway", "annotations": None}}
    (stage,) = in_waves([Stage(11, "istio-gateway", "istio", (service,), ())])
    assert stage.manifests[0]["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == "11"


def test_flux_gets_a_kustomization_a_stage_each_after_the_one_before(parts: tuple[Stage, ...]) -> None:
    made = kustomizations(parts, "clusters/prod/mesh/")
    found = [parsed(made[f"flux/{folder}.yaml"]) for folder in FOLDERS]
    names = [one["metadata"]["name"] for one in found]
    assert [one["spec"].get("dependsOn") for one in found] == [None, *([{"name": name}] for name in names[:-1])]
    assert {one["spec"]["wait"] for one in found} == {True}
    assert {one["spec"]["prune"] for one in found} == {False}
    assert found[3]["spec"]["path"] == "./clusters/prod/mesh/04-root-ca"
    assert parsed(made["kustomization.yaml"])["resources"] == [f"flux/{folder}.yaml" for folder in FOLDERS]


def test_without_the_sample_nothing_of_it_is_rendered(tmp_path: Path) -> None:
    chosen: Settings = read_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nworkloads: {enabled: false}\n", "test")
    made = stages(steps(chosen, releases(tmp_path), Target()), wish_manifest(chosen))
    assert "workloads" not in {stage.step for stage in made}


def test_a_later_generation_of_the_root_is_rendered_where_it_is_asked_for(tmp_path: Path) -> None:
    made = stages(steps(defaults(), releases(tmp_path), Target(), 3), wish_manifest(defaults()))
    rendered = files(made)
    assert any(name.endswith("-certificate-meshpki-root-g3.yaml") for name in rendered)


def test_the_policies_come_when_their_webhook_answers_and_the_root_when_they_are_ready(tmp_path: Path) -> None:
    chosen = replace(defaults(), approval=Approval(policy=True))
    made = stages(steps(chosen, releases(tmp_path), Target()), wish_manifest(chosen))
    names = [stage.name for stage in made]
    first = names.index("approval")
    assert names[first - 1 : first + 4] == [
        "cert-manager",
        "approval",
        "meshpki-root",
        "meshpki-nothing-else",
        "root-ca",
    ]
    waited = [wait.command() for stage in made[first : first + 3] for wait in stage.waits]
    hook = "validatingwebhookconfiguration/cert-manager-approver-policy"
    assert any("rollout status deployment/cert-manager-approver-policy" in command for command in waited)
    assert any(hook in command and "caBundle" in command for command in waited)
    policy = "certificaterequestpolicy.policy.cert-manager.io/meshpki-nothing-else"
    assert any(policy in command and "condition=Ready" in command for command in waited)
