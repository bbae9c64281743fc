"""approver-policy in the place of cert-manager's own approver: the mesh's own CAs are approved, all else is denied."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial

from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import Object, Query, Ref, only, ref_of
from meshpki.cluster.readiness import condition, holds
from meshpki.cluster.render import render
from meshpki.components import root_probe
from meshpki.components.rogue_request import denied, rogue_request
from meshpki.components.rollout import deployment, rollout
from meshpki.components.trust import ALIAS
from meshpki.settings import Settings, go_duration
from meshpki.workflow.step import Gate, Later, Readiness, Ready, Step, Waiting

STEP = "approval"
NAME = "cert-manager-approver-policy"
POLICY = ("policy.cert-manager.io/v1alpha1", "CertificateRequestPolicy")
ISTIOD_CA, NOTHING_ELSE = "meshpki-istiod-ca", "meshpki-nothing-else"
# cert-manager's controllers without the one that approves every request (cert-manager v1.21, disableAutoApproval).
WITHOUT_APPROVER = "--controllers=*,-certificaterequests-approver"
_REFUSED = (400, 403, 422)


def approval(settings: Settings, crds: Sequence[Object]) -> Step:
    """The step of approver-policy and its policies; `crds` are from its release."""
    namespace, every = settings.namespaces.cert_manager, policies(settings)
    allowing = tuple(one for one in every if one["metadata"]["name"] != NOTHING_ELSE)
    denying = tuple(one for one in every if one not in allowing)
    return Step(
        name=STEP,
        summary=f"approver-policy {settings.versions.approver_policy}: the mesh's own CAs alone",
        needs=("cert-manager",),
        manifests=(*crds, *objects(settings)),
        # No policy can be applied before the webhook answers; and a mesh that runs already is not denied its own CAs
        # in the moment before their policies count.
        later=(Later("webhook", allowing), Later("policies", denying)),
        gates=(
            rollout(
                "rollout",
                [deployment(namespace, NAME)],
                "MPK-290",
                f"look at `kubectl -n {namespace} logs deploy/{NAME}`",
            ),
            _webhook(namespace),
            ready("policies", allowing),
            ready("all-else", denying),
            denied(namespace),
        ),
        programs=(rogue_request(settings, after="all-else"),),
    )


def objects(settings: Settings) -> tuple[Object, ...]:
    """approver-policy itself, and who may use which policy."""
    return tuple(one for one in _manifests(settings) if not _is_policy(one))


def policies(settings: Settings) -> tuple[Object, ...]:
    """A policy for each CA of the mesh, and the one that fits every request and that none meets."""
    return tuple(one for one in _manifests(settings) if _is_policy(one))


def _is_policy(manifest: Object) -> bool:
    return (manifest["apiVersion"], manifest["kind"]) == POLICY


def istiod_policy(settings: Settings) -> Step:
    """The step that allows istiod's CA what the settings now say of it, before that is asked for."""
    (policy,) = (one for one in policies(settings) if one["metadata"]["name"] == ISTIOD_CA)
    return Step(
        name=STEP,
        summary=f"istiod's CA allowed for {go_duration(settings.istiod_ca.duration)}",
        needs=("settings",),
        manifests=(policy,),
        gates=(ready("policies", (policy,)),),
    )


def _manifests(settings: Settings) -> tuple[Object, ...]:
    names = settings.namespaces
    cert_manager = _account(names.cert_manager, "cert-manager")
    spire = _account(names.spire_server, "spire-server")
    root = re.escape(f"{settings.root.common_name}-g")
    return render(
        STEP,
        name=NAME,
        namespace=names.cert_manager,
        version=settings.versions.approver_policy,
        cpu=settings.resources.cpu,
        memory=settings.resources.memory,
        trust_domain_id=f"spiffe://{settings.trust_domain}",
        uses=(
            _use("cert-manager", ("meshpki-root", ISTIOD_CA), cert_manager),
            _use("spire", ("meshpki-spire",), spire),
            _use("everybody", (NOTHING_ELSE,), {"kind": "Group", "name": "system:authenticated"}),
        ),
        root={
            "named": f"self.matches(r'^{root}[0-9]+$')",
            "requester": _requested_by(cert_manager),
            # cert-manager names a request after its Certificate and the revision
            "request": f"cr.name.matches(r'^{ALIAS}-g[0-9]+-[0-9]+$')",
            "duration": go_duration(settings.root.duration),
        },
        istiod_ca={
            "namespace": names.istio,
            "name": f"istiod.{names.istio}.svc",
            "requester": _requested_by(cert_manager),
            "request": "cr.name.matches(r'^cacerts-[0-9]+$')",
            "duration": go_duration(settings.istiod_ca.duration),
        },
        spire={
            "namespace": names.spire_server,
            "requester": _requested_by(spire),
            "duration": go_duration(settings.spire.ca_ttl),
        },
        probe={"name": root_probe.NAME} if settings.root.existing.secret_name else None,
    )


def _account(namespace: str, name: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _requested_by(account: Object) -> str:
    return f"cr.username == 'system:serviceaccount:{account['namespace']}:{account['name']}'"


def _use(who: str, names: Sequence[str], subject: Object) -> Object:
    group = {"apiGroup": "rbac.authorization.k8s.io"} if subject["kind"] == "Group" else {}
    return {"role": f"meshpki-approval-{who}", "policies": list(names), "subject": {**subject, **group}}


def _webhook(namespace: str) -> Gate:
    return Gate(
        name="webhook",
        proves="the webhook lets a valid policy through and refuses one that fits nothing",
        check=judge_webhook,
        hint=f"look at `kubectl -n {namespace} logs deploy/{NAME}`",
        code="MPK-290",
        watches=(Query("discovery.k8s.io/v1", "EndpointSlice", namespace),),
        every=timedelta(seconds=0.5),
    )


def judge_webhook(reader: Reader) -> Readiness:
    """Two dry runs: a policy that has to pass, and one without any selector, which must not."""
    try:
        reader.dry_run(_policy({"issuerRef": {"name": "meshpki-probe"}}))
    except ClusterError as error:
        return Waiting(f"a valid policy does not pass: {error.what}")
    try:
        reader.dry_run(_policy({}))
    except ClusterError as error:
        return Ready("webhook answered") if error.status in _REFUSED else Waiting(error.what)
    return Waiting("an invalid policy passes: the webhook is not asked yet")


def _policy(selector: Object) -> Object:
    api_version, kind = POLICY
    metadata = {"name": "meshpki-probe"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {"selector": selector}}


def ready(name: str, manifests: Iterable[Object]) -> Gate:
    """The gate that opens when approver-policy itself has seen these policies as they are now.

    A denial is for good, and cert-manager then waits an hour: nothing may be asked for before.
    """
    refs = tuple(map(ref_of, manifests))
    return Gate(
        name=name,
        proves="approver-policy judges by the policies as they are now",
        check=partial(judge_policies, refs=refs),
        hint="look at `kubectl describe certificaterequestpolicies`",
        code="MPK-291",
        watches=tuple(only(ref) for ref in refs),
    )


def judge_policies(reader: Reader, refs: Sequence[Ref]) -> Readiness:
    """Whether each policy is Ready at its newest generation; if not, what approver-policy says of the first."""
    for ref in refs:
        live = reader.get(ref)
        if live is None:
            return Waiting(f"{ref} is not there yet")
        if not holds(live, "Ready"):
            said = str((condition(live, "Ready") or {}).get("message", ""))
            return Waiting(f"{ref} is not ready for its newest generation{f': {said}' if said else ''}")
    return Ready(", ".join(ref.name for ref in refs))
