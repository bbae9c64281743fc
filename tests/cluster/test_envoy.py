import base64
import json

import pytest

from meshpki.cluster.envoy import EnvoyError, Secrets, parse, secrets
from meshpki.cluster.manifest import Ref
from tests.support.mesh import dump, mesh

CHAIN, BUNDLE = b"-----chain-----", b"-----bundle-----"


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


ISTIOCTL = {
    "dynamicActiveSecrets": [
        {
            "name": "default",
            "secret": {
                "tlsCertificate": {
                    "certificateChain": {"inlineBytes": encoded(CHAIN)},
                    "privateKey": {"inlineBytes": encoded(b"[redacted]")},
                }
            },
        },
        {
            "name": "ROOTCA",
            "secret": {
                "validationContext": {
                    "customValidatorConfig": {
                        "typedConfig": {
                            "trustDomains": [{"name": "example.org", "trustBundle": {"inlineBytes": encoded(BUNDLE)}}]
                        }
                    }
                }
            },
        },
    ]
}
TRUSTED = {"validation_context": {"trusted_ca": {"inline_bytes": encoded(BUNDLE)}}}
PLAIN = {
    "configs": [
        {"@type": "x", "name": "ROOTCA", "secret": TRUSTED},
        {"name": "default", "secret": {"tls_certificate": {"certificate_chain": {"inline_string": CHAIN.decode()}}}},
    ]
}  # fmt: skip
FEDERATED = {"a.org": BUNDLE, "b.org": b"x"}
CASES = {
    "Envoy's own dump": (dump(CHAIN, {"example.org": BUNDLE}), Secrets(CHAIN, {"example.org": BUNDLE})),
    "istioctl's camelCase": (json.dumps(ISTIOCTL).encode(), Secrets(CHAIN, {"example.org": BUNDLE})),
    "entries alone, a plain trusted CA": (json.dumps(PLAIN).encode(), Secrets(CHAIN, {"": BUNDLE})),
    "two trust domains": (dump(CHAIN, FEDERATED), Secrets(CHAIN, FEDERATED)),
    "no certificate yet": (dump(b"", {"example.org": BUNDLE}), Secrets(b"", {"example.org": BUNDLE})),
    "nothing at all": (b'{"configs": []}', Secrets()),
    "an empty object": (b"{}", Secrets()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_secrets_are_found_by_name_in_every_shape_a_dump_has(name: str) -> None:
    text, expected = CASES[name]
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [b"", b"<html>", b"[]",  b'"x"', b'{"configs": 1}', b'{"configs": ["x"]}', b"[" * 100_000, b"\xff",
     dump(CHAIN, {"x\ud800": BUNDLE}),
     b'{"name": "default", "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": "%"}}}}'],
)  # fmt: skip
def test_what_is_no_dump_is_refused(text: bytes) -> None:
    with pytest.raises(EnvoyError):
        parse(text)


def test_a_pod_is_asked_over_a_port_forward_to_its_admin_port() -> None:
    cluster = mesh(a=dump(CHAIN, {"example.org": BUNDLE}))
    assert secrets(cluster, Ref("v1", "Pod", "ns", "a")).chain_pem == CHAIN
    assert cluster.requests == [("forward", "Pod ns/a")]


@pytest.mark.parametrize("answer", [b"", b"<html>"])
def test_an_answer_that_is_missing_or_wrong_names_the_pod(answer: bytes) -> None:
    with pytest.raises(EnvoyError) as caught:
        secrets(mesh(a=answer), Ref("v1", "Pod", "ns", "a"))
    assert caught.value.where == "Pod ns/a"
