import base64
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from meshpki.support_bundle.keys import holds_private_key
from meshpki.support_bundle.redaction import HIDDEN, redacted, without_forms
from tests.support import certificates as made

CANARY = "canary-7f3a9c"
KINDS = ("P-256", "P-384", "Ed25519", "RSA-2048")
FORMS = (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
CLAIMS = base64.urlsafe_b64encode(CANARY.encode() * 3).decode().rstrip("=")
JWT = f"eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.c2lnbmF0dXJlc2lnbmF0dXJl"


def keys(encoding: Encoding) -> list[bytes]:
    """Private keys of every kind and form that a mesh may hold, the encrypted ones among them."""
    forms = [(kind, form) for kind in KINDS for form in FORMS[: 1 if kind == "Ed25519" else 2]]
    found = [made.new_key(kind).private_bytes(encoding, form, NoEncryption()) for kind, form in forms]
    locked = BestAvailableEncryption(CANARY.encode())
    return [*found, made.new_key("P-256").private_bytes(encoding, PrivateFormat.PKCS8, locked)]


DER, PEM = keys(Encoding.DER), keys(Encoding.PEM)


def body(pem: bytes) -> list[str]:
    return pem.decode().splitlines()[1:-1]


@pytest.mark.parametrize("key", DER, ids=len)
def test_a_private_key_is_known_by_how_its_der_begins_wherever_it_lies(key: bytes) -> None:
    assert holds_private_key(key)
    assert holds_private_key(b"before" + key + b"after")
    assert holds_private_key(key[:40])


def test_what_is_public_is_no_private_key() -> None:
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    public = [
        made.mesh_root().certificate.der,
        made.mesh_spire_ca().certificate.der,
        asked.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.DER),
        *(public_key(kind) for kind in KINDS),
    ]
    assert [one for one in public if holds_private_key(one)] == []


def public_key(kind: str) -> bytes:
    return made.new_key(kind).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("pem", PEM, ids=len)
def test_a_key_in_pem_goes_whole_also_in_a_string_or_cut_off(pem: bytes) -> None:
    text = pem.decode()
    lines = body(pem)
    for shown in (
        redacted(f"before\n{text}after"),
        redacted(json.dumps({"a": text})),
        redacted(json.dumps({"log": json.dumps({"a": text})})),
        redacted("before\n" + text[: len(text) // 2]),
        redacted("\n".join(text.splitlines()[2:]) + "\nafter"),
        redacted("".join(f"2026-11-24T12:00:00Z stdout F {line}\n" for line in text.splitlines())),
    ):
        assert [line for line in lines[1:] if line in shown] == []
    assert redacted(f"before\n{text}after") == f"before\n{HIDDEN}\nafter"


@pytest.mark.parametrize("der", DER, ids=len)
def test_base64_of_a_key_goes_in_one_line_or_many_in_either_alphabet(der: bytes) -> None:
    plain, safe = base64.b64encode(der).decode(), base64.urlsafe_b64encode(der).decode().rstrip("=")
    wrapped = base64.encodebytes(der).decode()
    twice = base64.b64encode(plain.encode()).decode()
    for text in (
        plain,
        safe,
        wrapped,
        twice,
        f"dump: {plain}",
        f"/var/lib/{plain}",
        f"x={plain};",
        json.dumps(wrapped),
    ):
        shown = without_forms(text)
        assert HIDDEN in shown
        assert plain[8:40] not in shown
        assert safe[-24:] not in shown


@pytest.mark.parametrize(
    "text",
    [
        f"password={CANARY}",
        f"db_password: {CANARY}",
        f"PASSWD = '{CANARY}'",
        f'{{"clientSecret":"{CANARY}","a":1}}',
        f'{{\\"token\\":\\"{CANARY}\\"}}',
        f'{{\\"token\\":\\"two words {CANARY}\\"}}',
        f"passphrase: two words and {CANARY}",
        f"api_key={CANARY}&x=1",
        f"key={CANARY}",
        f"--token={CANARY}",
        f"run --vault-token {CANARY} --verbose",
        f"Authorization: Bearer {CANARY}",
        f"Authorization: Basic {base64.b64encode(f'user:{CANARY}'.encode()).decode()}",
        f"sent bearer {CANARY}",
        f"https://user:{CANARY}@registry.example.org/v2/",
        f"https://{CANARY}@example.org",
        f"https://user:p@ss{CANARY}@example.org",
        f"https://user:pa/ss{CANARY}@example.org/x",
        f"password: |\n  first\n  {CANARY}\nnext: 1",
        base64.b64encode(f"openssh-key-v1\0{CANARY}".encode()).decode(),
        f"jwt {JWT} was refused",
        base64.b64encode(f"password={CANARY}".encode()).decode(),
        base64.b64encode(f"https://user:{CANARY}@example.org/".encode()).decode(),
        f"credentials => '{CANARY}'",
        f"Cookie: session={CANARY}; b=c",
        f'{{"authorization":["Basic {base64.b64encode(f"u:{CANARY}".encode()).decode()}"],"a":1}}',
        f'"token": ["{CANARY}", "b"]',
        f"MYSQL_PWD={CANARY}",
        f"pass: {CANARY}",
        f"GET /?password%3D{CANARY}",
        "git clone with ghp_" + "0a" * 18,
        "vault said hvs." + "0a" * 12,
    ],
)
def test_what_is_a_secret_by_its_form_or_its_name_goes(text: str) -> None:
    shown = redacted(text)
    assert HIDDEN in shown
    assert CANARY not in shown
    assert base64.b64encode(CANARY.encode()).decode()[:12] not in shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "E1124 12:00:00 re-queuing item due to error key=cert-manager/meshpki-root-g1 secret=istio-system/cacerts",
        "spiffe://example.org/ns/bookinfo/sa/client",
        "Update Istiod cacerts",
        "x509: certificate signed by unknown authority: basic constraints say nothing",
        "pulled docker.io/istio/proxyv2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "secretName cacerts, tokenPath /var/run/secrets/tokens/istio-token",
        "keyUsage: digitalSignature",
        "docker-pullable://localhost:5000/istio/proxyv2@sha256:0123456789abcdef",
        "2026-11-24T12:00:00.000000Z\tinfo\tcache\tgenerated new workload certificate\tttl=59m59s",
        made.mesh_root().pem.decode(),
        base64.b64encode(made.mesh_root().pem).decode(),
        base64.b64encode(made.mesh_root().certificate.der).decode(),
    ],
)
def test_what_helps_and_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ",
        "A",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "key",
        "://",
        "token: ",
        '\\"',
        "A\n",
        "A" * 24 + "\n",
    ],
)
def test_a_log_written_to_slow_the_redactor_costs_what_any_other_does(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    began = time.process_time()
    redacted(text)
    assert time.process_time() - began < 20
