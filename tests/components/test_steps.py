"""What the steps would apply, looked at as data: rights, hardening, fail-closed identities, and one root above all."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from meshpki.artifacts import Releases
from meshpki.cluster.manifest import Object, ref_of
from meshpki.components.cert_manager import SKI_IS_SHA1, cert_manager
from meshpki.components.istio import operator
from meshpki.components.spire import spire
from meshpki.components.trust import ALIAS
from meshpki.install import APPROVAL, EVERY, OUTLINE, Target, steps
from meshpki.settings import Settings, defaults, read_text
from meshpki.workflow.plan import Plan, Selection, narrowed
from meshpki.workflow.step import Step

RELEASE = """
apiVersion: v1
kind: Namespace
metadata: {name: cert-manager}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cert-manager, namespace: cert-manager}
spec: {template: {spec: {containers: [{name: cert-manager-controller, image: x, env: [{name: A, value: b}]}]}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: cert-manager-webhook
  annotations: {cert-manager.io/inject-ca-from-secret: cert-manager/cert-manager-webhook-ca}
webhooks:
- name: webhook.cert-manager.io
  clientConfig: {service: {name: cert-manager-webhook, namespace: cert-manager}}
"""


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    release, crd = tmp_path / "cert-manager.yaml", tmp_path / "crd.yaml"
    release.write_text(RELEASE)
    crd.write_text(
        yaml.dump(
            {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"}}
        )
    )
    return Releases(release, tmp_path / "istioctl.tar.gz", (crd,))


def settings(text: str = "") -> Settings:
    return read_text(f"apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n{text}", "test") if text else defaults()


def planned(releases: Releases, text: str = "") -> tuple[Step, ...]:
    return steps(settings(text), releases, Target())


def manifests(releases: Releases, text: str = "") -> list[Object]:
    return [manifest for step in planned(releases, text) for manifest in step.objects]


def one(found: list[Object], kind: str, name: str) -> Object:
    return next(item for item in found if (item["kind"], item["metadata"]["name"]) == (kind, name))


def pod_specs(found: list[Object]) -> dict[str, Object]:
    kinds = ("Deployment", "StatefulSet", "DaemonSet")
    return {item["metadata"]["name"]: item["spec"]["template"]["spec"] for item in found if item["kind"] in kinds}


def test_the_steps_make_a_plan_and_are_those_that_step_list_shows(releases: Releases) -> None:
    made = planned(releases)
    Plan(made)
    assert [(step.name, step.needs) for step in made] == [(row.name, row.needs) for row in OUTLINE]


def test_rendering_twice_gives_the_same(releases: Releases) -> None:
    assert manifests(releases) == manifests(releases)


def test_no_object_is_described_twice(releases: Releases) -> None:
    refs = [ref_of(item) for item in manifests(releases)]
    assert len(refs) == len(set(refs))


def test_every_workload_has_a_gate_that_waits_for_its_rollout(releases: Releases) -> None:
    for step in planned(releases):
        waited = {query.fields.removeprefix("metadata.name=") for gate in step.gates for query in gate.watches}
        named = {item["metadata"]["name"] for item in step.objects if item["kind"] in ("StatefulSet", "DaemonSet")}
        assert named <= waited, step.name


def test_the_root_is_a_ca_whose_key_and_life_never_change_by_themselves(releases: Releases) -> None:
    spec = one(manifests(releases), "Certificate", f"{ALIAS}-g1")["spec"]
    assert spec["isCA"]
    assert spec["usages"] == ["cert sign", "crl sign"]
    assert spec["uris"] == ["spiffe://example.org"]
    assert spec["duration"] == "21600h"
    assert spec["renewal"] == {"policy": "Disabled"}
    assert spec["privateKey"] == {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Never"}


def test_cacerts_lives_and_renews_as_the_settings_say_with_a_new_key_each_time(releases: Releases) -> None:
    text = "istiodCA: {duration: 720h, renewBefore: 240h}"
    spec = one(manifests(releases, text), "Certificate", "cacerts")["spec"]
    assert (spec["duration"], spec["renewBefore"]) == ("720h", "240h")
    assert spec["privateKey"]["rotationPolicy"] == "Always"
    assert spec["issuerRef"] == {"name": ALIAS, "kind": "ClusterIssuer", "group": "cert-manager.io"}
    assert spec["dnsNames"] == ["istiod.istio-system.svc"]


def test_cert_manager_makes_key_ids_that_spire_finds_again(releases: Releases) -> None:
    container = pod_specs(manifests(releases))["cert-manager"]["containers"][0]
    assert container["env"] == [{"name": "A", "value": "b"}, SKI_IS_SHA1]


def test_cert_manager_can_live_in_another_namespace() -> None:
    found = list(cert_manager(settings("namespaces: {certManager: pki}"), list(yaml.safe_load_all(RELEASE))).manifests)
    assert {item["metadata"].get("namespace") for item in found} == {None, "pki"}
    assert one(found, "Namespace", "pki")
    hook = one(found, "ValidatingWebhookConfiguration", "cert-manager-webhook")
    assert hook["metadata"]["annotations"]["cert-manager.io/inject-ca-from-secret"] == "pki/cert-manager-webhook-ca"
    assert hook["webhooks"][0]["clientConfig"]["service"]["namespace"] == "pki"


def test_spire_server_may_do_four_things_with_certificate_requests_in_one_namespace(releases: Releases) -> None:
    rights = [
        (item["kind"], item["metadata"].get("namespace"), rule["verbs"])
        for item in manifests(releases)
        if item["kind"] in ("Role", "ClusterRole")
        for rule in item["rules"]
        if "cert-manager.io" in rule["apiGroups"] and item["metadata"]["name"].startswith(("spire", "meshpki"))
    ]
    assert rights == [("Role", "spire-server", ["create", "delete", "get", "list"])]


def test_no_right_of_spire_is_a_wildcard_or_a_secret() -> None:
    for item in spire(settings(), ()).objects:
        for rule in item.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]


def test_the_agent_asks_the_kubelet_for_its_pods_and_nothing_that_runs_commands(releases: Releases) -> None:
    role = one(manifests(releases), "ClusterRole", "meshpki-spire-agent")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes/pods"], "verbs": ["get"]}]


def test_only_the_namespace_of_agent_and_driver_is_privileged(releases: Releases) -> None:
    label = "pod-security.kubernetes.io/enforce"
    found = manifests(releases)
    assert one(found, "Namespace", "spire-server")["metadata"]["labels"][label] == "restricted"
    assert one(found, "Namespace", "spire-system")["metadata"]["labels"][label] == "privileged"
    privileged = [
        container["name"]
        for spec in pod_specs(found).values()
        for container in spec["containers"]
        if container.get("securityContext", {}).get("privileged")
    ]
    assert privileged == ["spiffe-csi-driver"]


def test_spire_verifies_kubelets_and_servers_and_keeps_its_keys_on_a_volume(releases: Releases) -> None:
    found = manifests(releases)
    server = one(found, "ConfigMap", "spire-server")["data"]["server.conf"]
    agent = one(found, "ConfigMap", "spire-agent")["data"]["agent.conf"]
    for loose in ("skip_kubelet_verification", "insecure_bootstrap", "trust_bundle_url"):
        assert loose not in server + agent
    assert 'KeyManager "disk"' in server
    assert 'ca_key_type = "ec-p256"' in server
    assert 'ca_ttl = "24h"' in server
    assert 'default_x509_svid_ttl = "1h"' in server
    assert 'rebootstrap_mode = "auto"' in agent
    claims = one(found, "StatefulSet", "spire-server")["spec"]["volumeClaimTemplates"]
    assert [claim["metadata"]["name"] for claim in claims] == ["data"]


def test_an_identity_never_falls_back_to_istiod(releases: Releases) -> None:
    wish = operator(settings())["spec"]
    # the template chooses between the two lists of containers in Go's syntax; both are the same otherwise
    template = re.sub(
        r"{{ if .*?{{- end }}",
        "containers:",
        wish["values"]["sidecarInjectorWebhook"]["templates"]["spire"],
        flags=re.DOTALL,
    )
    injected = yaml.safe_load(template)
    socket = {"name": "WORKLOAD_IDENTITY_SOCKET_FILE", "value": "spire-agent.sock"}
    assert socket in injected["spec"]["containers"][0]["env"]
    assert socket in wish["components"]["ingressGateways"][0]["k8s"]["env"]
    agent = one(manifests(releases), "ConfigMap", "spire-agent")["data"]["agent.conf"]
    assert f"/{socket['value']}" in agent


def test_istio_and_spire_share_the_trust_domain(releases: Releases) -> None:
    text = "trustDomain: prod.example.com"
    assert operator(settings(text))["spec"]["meshConfig"]["trustDomain"] == "prod.example.com"
    server = one(manifests(releases, text), "ConfigMap", "spire-server")["data"]["server.conf"]
    assert 'trust_domain = "prod.example.com"' in server


def test_the_users_overlay_is_merged_last() -> None:
    text = "istio: {operator: {values: {pilot: {env: {X: y}}, global: {proxy: {logLevel: debug}}}}}"
    values = operator(settings(text))["spec"]["values"]
    assert values["pilot"]["env"] == {"ISTIO_MULTIROOT_MESH": "true", "X": "y"}
    assert values["global"]["proxy"]["logLevel"] == "debug"
    assert values["global"]["proxy"]["resources"]["requests"]["cpu"] == "10m"


@pytest.mark.parametrize(("preset", "replicas"), [("default", 1), ("production", 2)])
def test_the_production_preset_runs_two_istiods_and_gateways_each_with_a_budget(preset: str, replicas: int) -> None:
    values = operator(settings(f"preset: {preset}"))["spec"]["values"]
    # Istio's charts add a PodDisruptionBudget where these two say that there is more than one
    for chart in (values["pilot"], values["gateways"]["istio-ingressgateway"]):
        assert (chart["autoscaleEnabled"], chart["replicaCount"]) == (False, replicas)


def test_workloads_can_be_left_out(releases: Releases) -> None:
    assert [step.name for step in planned(releases, "workloads: {enabled: false}")] == [
        row.name for row in OUTLINE if row.name != "workloads"
    ]


def test_policies_decide_before_the_root_is_issued(releases: Releases) -> None:
    made = planned(releases, "approval: {policy: true}")
    Plan(made)
    assert [step.name for step in made] == [row.name for row in EVERY]
    needs = {step.name: step.needs for step in made}
    assert (needs["approval"], needs["root-ca"]) == (APPROVAL.needs, ("cert-manager", "approval"))


def test_the_crd_of_the_policies_comes_with_their_step(releases: Releases) -> None:
    files = replace(releases, policy_crds=releases.spire_crds)
    (step,) = (one for one in planned(files, "approval: {policy: true}") if one.name == "approval")
    assert [one["metadata"]["name"] for one in step.manifests if one["kind"] == "CustomResourceDefinition"] == ["x"]


def test_a_namespace_whose_pods_get_a_sidecar_lets_them_in_whatever_the_clusters_default(releases: Releases) -> None:
    found = manifests(releases)
    for name in ("bookinfo", "spire-system"):
        assert one(found, "Namespace", name)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"


def test_istio_is_not_begun_without_spire_which_its_gateway_waits_for(releases: Releases) -> None:
    plan = narrowed(planned(releases, "workloads: {enabled: false}"), Selection(skip=("spire",)))
    assert [step.name for step in plan.assumed] == ["spire"]
