"""What the rules ask of each changed chain, written by hand from the contract's sources, not from what meshpki answers.

Sources: RFC 5280 sections 4.1, 4.2 and 6.1; SPIFFE X509-SVID 2 to 5 and appendix A; SPIFFE-ID 2; SPIRE
pkg/server/credvalidator/validator.go at v1.15. A finding is `rule:code`, the number as in `meshpki/pki/chain.py`;
`35:301` is what the reader refuses before there is a chain.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.conformance import der
from tests.conformance.mesh import BASES, Case, Chain, Expectation, Position, Row
from tests.support import certificates as made
from tests.support.certificates import AT, CLIENT, ROOT, SERVER, SPIRE_CA, SVID, PrivateKey

SECOND = timedelta(seconds=1)
UNREADABLE = "35:301"
ID = SVID.uris[0]
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
ANY_USAGE = x509.ObjectIdentifier("2.5.29.37.0")
SAN, BASIC, POLICIES, PRIVATE = "2.5.29.17", "2.5.29.19", "2.5.29.32", "1.3.6.1.4.1.99999.2"
# C = UTCTime "US"
NAME_OF_A_TIME = bytes.fromhex("300d310b3009060355040617025553")
OVER, TO_BE = {"not_after": AT - SECOND}, {"not_before": AT + SECOND}
OTHER_NAME = ((NameOID.COMMON_NAME, "somebody else"),)
SIGN = ("key_cert_sign", "crl_sign")
USE = ("digital_signature", "key_encipherment")


def proven(name: str, warnings: str = "", **change: Any) -> Row:
    return _row(name, Expectation("proven", warnings), change)


def broken(name: str, failures: str, **change: Any) -> Row:
    return _row(name, Expectation("broken", failures), change)


def unknown(name: str, findings: str, **change: Any) -> Row:
    return _row(name, Expectation("unknown", findings), change)


def _row(name: str, expected: Expectation, change: dict[str, Any]) -> Row:
    parts = {part: change.pop(part) for part in ("leaf", "der", "arrange", "pem", "bases", "instead") if part in change}
    return Row(name, expected, shape=change, **parts)


def edit(change: der.Edit) -> Callable[[bytes, PrivateKey], bytes]:
    return lambda content, key: der.edited(content, key, change)


def raw_san(*names: bytes) -> tuple[str, bool, bytes]:
    """A subject alternative name of any bytes, each with its tag."""
    return (SAN, False, der.tlv(der.SEQUENCE, *names))


def uri(text: bytes) -> bytes:
    return der.tlv(0x86, text)


def permitted(*names: x509.GeneralName) -> dict[str, Any]:
    return {"constraints": x509.NameConstraints(names, None)}


def excluded(*names: x509.GeneralName) -> dict[str, Any]:
    return {"constraints": x509.NameConstraints(None, names)}


def sent(change: Callable[[Chain], tuple[bytes, ...]]) -> Callable[[Chain], Chain]:
    return lambda chain: replace(chain, sent=change(chain))


def pinned(change: Callable[[Chain], tuple[bytes, ...]]) -> Callable[[Chain], Chain]:
    return lambda chain: replace(chain, pinned=change(chain))


def twice(fields: list[bytes]) -> list[bytes]:
    return [*fields, fields[0]]


def made_critical(oid: str) -> Callable[[bytes, PrivateKey], bytes]:
    """Every extension as it was, but this one (the value of its OID in hexadecimal) critical."""
    named = der.tlv(0x06, bytes.fromhex(oid))

    def change(listed: list[bytes]) -> list[bytes]:
        parts = [(one, der.children(one)) for one in listed]
        return [
            der.tlv(der.SEQUENCE, named, der.tlv(0x01, b"\xff"), inside[-1]) if inside[0] == named else whole
            for whole, inside in parts
        ]

    return edit(der.with_extensions(change))


def other_string_type(name: bytes) -> bytes:
    """The last attribute as the other of UTF8String and PrintableString: the same text, other bytes."""
    place = name.rindex(0x0C) if 0x0C in name else name.rindex(0x13)
    return name[:place] + bytes([0x0C ^ 0x13 ^ name[place]]) + name[place + 1 :]


def stranger(chain: Chain, **change: Any) -> made.Issued:
    """A root of the pinned one's name with another key."""
    return made.root(ROOT.but(subject=_subject(chain), **change))


def below(chain: Chain) -> tuple[bytes, ...]:
    """One CA more between the CA and the leaf."""
    more = chain.ca.issue(SPIRE_CA.but(subject=OTHER_NAME))
    return (der.of(more.issue(SVID).x509), der.of(more.x509), *chain.sent[1:])


def forged(chain: Chain) -> tuple[bytes, ...]:
    """A leaf by another key under the CA's name; no key identifier betrays it."""
    name = tuple((one.oid, str(one.value)) for one in chain.ca.x509.subject)
    impostor = made.root(SPIRE_CA.but(subject=name, aki=False))
    return (der.of(impostor.issue(SVID.but(aki=False)).x509), *chain.sent[1:])


# 2: other URIs' parts; 3: the trust domain and lengths; 4: segments; 5: whole bytes, printable ASCII
MALFORMED_IDS = {
    "the scheme of a web page": (2, "https://example.org/a"),
    "an upper-case scheme": (2, "SPIFFE://example.org/a"),
    "no trust domain": (2, "spiffe:///a"),
    "user info": (2, "spiffe://user@example.org/a"),
    "a port": (2, "spiffe://example.org:8443/a"),
    "a query": (2, f"{ID}?a=b"),
    "a fragment": (2, f"{ID}#a"),
    "percent-encoding": (2, "spiffe://example.org/%61"),
    "an upper-case trust domain": (3, "spiffe://Example.org/a"),
    "a trust domain with a plus": (3, "spiffe://example+org/a"),
    "a trust domain of 256 bytes": (3, f"spiffe://{'a' * 256}/a"),
    "2049 bytes": (3, f"spiffe://example.org/{'a' * 2028}"),
    "a segment with a tilde": (4, "spiffe://example.org/~a"),
    "an empty segment": (4, "spiffe://example.org//a"),
    "a dot segment": (4, "spiffe://example.org/./a"),
    "a dot-dot segment": (4, "spiffe://example.org/a/../b"),
    "a slash at its end": (4, f"{ID}/"),
    "a line feed at its end": (5, f"{ID}\n"),
    "a line feed in its trust domain": (5, "spiffe://example.org\n/a"),
    "a NUL byte": (5, f"{ID}\0"),
    "a space before it": (5, f" {ID}"),
    "an escape sequence": (5, f"{ID}\x1b[31m"),
}

NAMES = (
    broken("no URI, a DNS name", "1:320", uris=(), dns=("productpage",)),
    broken("no alternative name", "1:320", uris=(), instead={"istiod": Expectation("broken", "1:320 13:326")}),
    broken("an e-mail name only", "1:320", uris=(), emails=("a@example.org",)),
    broken("two URIs", "1:320", uris=(ID, f"{ID}-2")),
    broken("the same URI twice", "1:320", uris=(ID, ID)),
    proven("DNS names beside the URI", dns=("productpage-1", "productpage.bookinfo.svc")),
    proven("an e-mail name and an address beside the URI", emails=("a@example.org",), addresses=("10.0.0.1", "::1")),
    *(broken(f"a SPIFFE ID with {what}", f"{rule}:321", uris=(text,)) for what, (rule, text) in MALFORMED_IDS.items()),
    broken(
        "a URI in UTF-8",
        "5:321",
        uris=(),
        more=(raw_san(uri("spiffe://example.org/\u202ea".encode())),),
        instead={"istiod": Expectation("broken", "5:321 13:326")},
    ),
    broken("the trust domain's own ID", "4:321", uris=("spiffe://example.org",)),
    broken("a foreign trust domain", "21:322", uris=("spiffe://other.org/ns/a/sa/b",)),
    broken("a trust domain that only begins like ours", "21:322", uris=("spiffe://example.org.evil/a",)),
    broken("a trust domain that only ends like ours", "21:322", uris=("spiffe://evil.example.org/a",)),
    proven("an ID of 2048 bytes", uris=(f"spiffe://example.org/{'a' * 2027}",)),
    broken("an empty subject, names not critical", "13:326", subject=(), names_critical=False),
    proven("an empty subject, names critical", subject=(), names_critical=True),
    proven("a subject, and names critical", subject=SVID.subject, names_critical=True),
)

LEAF_USES = (
    broken("cA", "6:325", ca=True),
    proven("no BasicConstraints", "7:328", ca=None),
    proven("BasicConstraints not critical", ca_critical=False),
    broken("no key usage", "8:323", key_usages=None),
    broken("key usage not critical", "8:323", key_usage_critical=False),
    broken("no digitalSignature", "9:323", key_usages=("key_agreement",)),
    broken("cRLSign", "9:323", key_usages=(*USE, "crl_sign")),
    broken("keyCertSign", "9:323 15:307", key_usages=(*USE, "key_cert_sign")),
    proven("digitalSignature alone", key_usages=("digital_signature",)),
    proven("contentCommitment", "10:328", key_usages=(*USE, "content_commitment")),
    proven("dataEncipherment", "10:328", key_usages=(*USE, "data_encipherment")),
    proven("encipherOnly", "10:328", key_usages=(*USE, "key_agreement", "encipher_only")),
    proven("decipherOnly", "10:328", key_usages=(*USE, "key_agreement", "decipher_only")),
    proven("no extended key usages", "11:328", extended=None),
    broken("for clients only", "12:324", extended=(CLIENT,)),
    broken("for servers only", "12:324", extended=(SERVER,)),
    broken("for code only", "12:324", extended=(CODE_SIGNING,)),
    broken("for any usage, neither side named", "12:324", extended=(ANY_USAGE,)),
    proven("for both sides and code", extended=(SERVER, CLIENT, CODE_SIGNING)),
    broken("name constraints", "27:310", **permitted(x509.DNSName("svc"))),
    proven("another policy, not critical", more=((POLICIES, False, bytes.fromhex("30053003060155")),)),
    broken("a critical policy", "26:309", more=((POLICIES, True, bytes.fromhex("30053003060155")),)),
)

LEAF_FORM = (
    *(proven(f"a key of kind {kind}", key=kind) for kind in ("P-384", "P-521", "RSA-2048", "RSA-3072", "Ed25519")),
    *(
        broken(f"a key of kind {kind}", "33:312", key=kind)
        for kind in ("P-192", "P-224", "K-256", "RSA-1024", "DSA-2048")
    ),
    proven("no SKI", ski=False),
    proven("no AKI", "30:314", aki=False),
    broken("the AKI of another key", "31:313", aki=b"\1" * 20),
    broken("its AKI critical", "26:309", der=made_critical("551d23")),
    proven("a life longer than its CA's", not_after=AT + timedelta(days=4000)),
)

LEAF_SENT = (
    broken("a time for its country", UNREADABLE, der=edit(der.with_subject(lambda _: NAME_OF_A_TIME))),
    broken("signed by another key than its CA's", "22:304", arrange=sent(forged)),
    broken("without its CA", "22:302", arrange=sent(lambda chain: chain.sent[:1])),
    broken("one CA too many above it", "25:308", arrange=sent(below)),
    proven("twice", arrange=sent(lambda chain: (*chain.sent, chain.sent[0]))),
)

EVERYWHERE = (
    broken("ended a second ago", "23:305", not_after=AT - SECOND),
    broken("begins in a second", "23:306", not_before=AT + SECOND),
    proven("ends this second", not_after=AT),
    proven("begins this second", not_before=AT),
    proven("ends in the year 9999", not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    broken("an unknown critical extension", "26:309", unknown_critical=True),
    proven("an unknown extension, not critical", more=((PRIVATE, False, b"\x05\x00"),)),
    broken("an extension twice", UNREADABLE, der=edit(der.with_extensions(twice))),
    broken("BasicConstraints that are no DER", UNREADABLE, ca=None, more=((BASIC, True, b"\x30\x7f"),)),
    broken("version 1", UNREADABLE, der=edit(lambda fields: der.without_version(der.without_extensions(fields)))),
    broken("version 1 with extensions", UNREADABLE, der=edit(der.without_version)),
    broken("version 2", UNREADABLE, der=edit(der.with_version(1))),
    broken("version 4", UNREADABLE, der=edit(der.with_version(3))),
    broken("serial number zero", UNREADABLE, der=edit(der.with_serial(b"\0"))),
    broken("a negative serial number", UNREADABLE, der=edit(der.with_serial(b"\xff\x01"))),
    proven("a serial number of 20 octets", serial=(1 << 159) - 1),
    broken("a serial number of 21 octets", "32:315", der=edit(der.with_serial(b"\1" + b"\0" * 20))),
    broken("an unused bit in its signature", UNREADABLE, der=lambda content, _: der.with_unused_bits(content)),
    broken("bytes after its end", UNREADABLE, der=lambda content, _: content + b"\0"),
    broken("its last bytes cut off", UNREADABLE, der=lambda content, _: content[:-7]),
    broken("rubbish in its place", UNREADABLE, der=lambda _content, _: b"\x30\x03\x02\x01\x01"),
)

BELOW_THE_ROOT = (
    broken("one bit of its signature changed", "22:304", der=lambda content, _: der.signature_flipped(content)),
    broken(
        "one bit of its serial number changed",
        "22:304",
        der=lambda content, _: content[:20] + bytes([content[20] ^ 1]) + content[21:],
    ),
    broken(
        "the algorithm inside is not the one outside",
        "22:304",
        der=edit(der.with_inner_algorithm(bytes.fromhex("300a06082a8648ce3d040303"))),
    ),
    broken("its issuer's name in another string type", "22:302", der=edit(der.with_issuer(other_string_type))),
    broken("signed with SHA-224", "33:312", digest="SHA224"),
    proven("signed with SHA-384", digest="SHA384"),
    proven("signed with SHA-512", digest="SHA512"),
)

SIGNER = (
    broken("its SKI critical", "26:309", der=made_critical("551d0e")),
    broken("BasicConstraints not critical", "14:307", ca_critical=False),
    broken("no key usage", "15:307", key_usages=None),
    broken("no keyCertSign", "15:307", key_usages=("crl_sign",)),
    proven("digitalSignature too", "17:328", key_usages=(*SIGN, "digital_signature")),
    proven("keyEncipherment too", "17:328", key_usages=(*SIGN, "key_encipherment")),
    proven("keyAgreement too", "17:328", key_usages=(*SIGN, "key_agreement")),
    proven("keyCertSign alone", key_usages=("key_cert_sign",)),
    proven("path length 5", path_length=5),
    broken("for code only", "29:307", extended=(CODE_SIGNING,)),
    broken("for clients only", "29:307", extended=(CLIENT,)),
    broken("for servers only", "29:307", extended=(SERVER,)),
    proven("for both sides", extended=(SERVER, CLIENT)),
    proven("no SKI", "30:314", ski=False),
    broken("a SKI other than the AKI below it", "31:313", ski=b"\2" * 20),
    proven("a key of kind P-384", key="P-384"),
    proven("a key of kind P-521", key="P-521"),
    proven("a key of kind RSA-2048", key="RSA-2048"),
    broken("a key of kind P-192", "33:312", key="P-192"),
    broken("a key of kind K-256", "33:312", key="K-256"),
    broken("a key of kind RSA-1024", "33:312", key="RSA-1024"),
    unknown("a key of kind Ed25519", "28:311", key="Ed25519"),
    proven("a DNS constraint that is kept", leaf={"dns": ("a.svc",)}, **permitted(x509.DNSName("svc"))),
    broken("a DNS constraint that is broken", "27:310", leaf={"dns": ("a.com",)}, **permitted(x509.DNSName("svc"))),
    broken("an excluded DNS name", "27:310", leaf={"dns": ("a.svc",)}, **excluded(x509.DNSName("svc"))),
    proven(
        "a constraint that is not critical", "27:310", constraints_critical=False, **permitted(x509.RFC822Name("a.org"))
    ),
    proven("a constraint of a kind the leaf has not", **excluded(x509.RFC822Name("example.org"))),
    broken(
        "an excluded e-mail name",
        "27:310",
        leaf={"emails": ("a@example.org",)},
        **excluded(x509.RFC822Name("example.org")),
    ),
    unknown("a URI constraint", "28:311", **permitted(x509.UniformResourceIdentifier("example.org"))),
    unknown("a URI constraint that is broken", "28:311", **permitted(x509.UniformResourceIdentifier("other.org"))),
    unknown(
        "a directory name constraint",
        "28:311",
        **permitted(x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "US")]))),
    ),
    proven("a DNS name beside", dns=("ca.example.org",)),
)

IDENTITY = (
    proven("no SPIFFE ID", "18:328", uris=()),
    broken("a SPIFFE ID with a path", "19:327", uris=("spiffe://example.org/ca",)),
    broken("a URI that is no SPIFFE ID", "19:327", uris=("https://example.org",)),
    broken("a malformed SPIFFE ID", "19:327", uris=("spiffe://Example.org",)),
    broken("its key usage not critical, with a SPIFFE ID", "16:327", key_usage_critical=False, uris=ROOT.uris),
    proven("its key usage not critical, without a SPIFFE ID", "16:327 18:328", key_usage_critical=False, uris=()),
)

CA_IDENTITY = (
    proven("our trust domain's ID", uris=ROOT.uris, instead={"istiod": Expectation("proven")}),
    proven(
        "another trust domain's ID",
        "20:328",
        uris=("spiffe://other.org",),
        instead={"istiod": Expectation("proven", "20:328")},
    ),
)

CA_FORM = (
    broken("no cA", "14:307", ca=False),
    broken("no BasicConstraints", "14:307", ca=None),
    proven("path length 0", path_length=0),
    proven("no AKI", "30:314", aki=False),
    broken("the AKI of another key", "31:313", aki=b"\1" * 20),
    broken("its AKI critical", "26:309", der=made_critical("551d23")),
    proven(
        "an address constraint that is kept",
        leaf={"addresses": ("10.0.0.1",)},
        **permitted(x509.IPAddress(ip_network("10.0.0.0/8"))),
    ),
    broken(
        "an address constraint that is broken",
        "27:310",
        leaf={"addresses": ("11.0.0.1",)},
        **permitted(x509.IPAddress(ip_network("10.0.0.0/8"))),
    ),
    broken("larger than a CA may be", UNREADABLE, dns=tuple(f"{n:0>60}.svc" for n in range(90))),
    broken(
        "by a key of the root's name that is not pinned",
        "22:304",
        arrange=sent(lambda chain: _by(chain, stranger(chain))),
    ),
    broken("its own root instead", "22:303", arrange=sent(lambda chain: _by(chain, None)), bases=("spire", "istiod")),
    proven("sent twice", arrange=sent(lambda chain: (*chain.sent, *chain.sent[1:]))),
    proven("a stranger's CA sent along", arrange=sent(lambda chain: (*chain.sent, der.of(made.mesh_spire_ca().x509)))),
    broken("a private key sent along", UNREADABLE, pem=lambda text: text + made.mesh_root().key_pem),
    broken(
        "a CRL's block sent along",
        UNREADABLE,
        pem=lambda text: text + b"-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n",
    ),
    broken("its block cut off", UNREADABLE, pem=lambda text: text[:-40]),
    broken("an END line lost", UNREADABLE, pem=lambda text: text.replace(b"-----END CERTIFICATE-----\n", b"", 1)),
    proven("text between the blocks", pem=lambda text: text.replace(b"-----BEGIN", b"subject: CN=a\n-----BEGIN")),
    proven("lines that end with CR LF", pem=lambda text: text.replace(b"\n", b"\r\n")),
    broken("more than a chain may be", UNREADABLE, pem=lambda text: text + b"#" * 95_000),
)

ROOT_FORM = (
    proven("path length 1", path_length=1),
    broken("path length 0", "24:308", path_length=0),
    broken("no cA, pinned", "14:307 34:316", ca=False),
    broken("no BasicConstraints, pinned", "14:307 34:316", ca=None),
    proven("an AKI of its own", aki=True),
    broken("an AKI of another key", "31:313", aki=b"\1" * 20),
    proven(
        "its self-signature damaged, for that is not what trusts it",
        "30:314",
        der=lambda content, _: der.signature_flipped(content),
    ),
    proven("another trust domain's ID", "20:328", uris=("spiffe://other.org",)),
    proven("sent along", arrange=sent(lambda chain: (*chain.sent, *chain.pinned))),
    broken(
        "not pinned, another of its name is", "22:304", arrange=pinned(lambda chain: (der.of(stranger(chain).x509),))
    ),
    broken(
        "not pinned, another of another name is",
        "22:302",
        arrange=pinned(lambda _: (der.of(made.root(ROOT.but(subject=OTHER_NAME)).x509),)),
    ),
    broken("the leaf pinned too", "34:316", arrange=pinned(lambda chain: (*chain.pinned, chain.sent[0]))),
    proven(
        "pinned beside another of its name", arrange=pinned(lambda chain: (der.of(stranger(chain).x509), *chain.pinned))
    ),
    proven("pinned beside an older one", arrange=pinned(lambda chain: (der.of(made.mesh_root().x509), *chain.pinned))),
    proven("pinned twice", arrange=pinned(lambda chain: chain.pinned * 2)),
    # these seven are what Envoy does: tests/envoy
    broken(
        "pinned behind itself, expired", "43:349", arrange=pinned(lambda chain: (_again(chain, OVER), *chain.pinned))
    ),
    broken(
        "pinned before itself, expired", "43:349", arrange=pinned(lambda chain: (*chain.pinned, _again(chain, OVER)))
    ),
    broken("pinned beside itself to be", "43:349", arrange=pinned(lambda chain: (*chain.pinned, _again(chain, TO_BE)))),
    proven("pinned beside itself again", arrange=pinned(lambda chain: (*chain.pinned, _again(chain, {})))),
    broken(
        "pinned beside another key with its key identifier",
        "43:349",
        arrange=pinned(lambda chain: (*chain.pinned, der.of(stranger(chain, ski=_ski(chain)).x509))),
    ),
    broken(
        "sent along, pinned under another key identifier",
        "45:303",
        arrange=lambda chain: replace(
            chain, sent=(*chain.sent, *chain.pinned), pinned=(_again(chain, {"ski": b"counted another way"}),)
        ),
    ),
    broken("pinned as another root signed it", "43:349", arrange=pinned(lambda chain: (_crossed(chain),))),
    broken("a private key pinned along", UNREADABLE, pem=lambda text: text + made.mesh_root().key_pem),
    broken("its block cut off", UNREADABLE, pem=lambda text: text[:-40]),
)


def _by(chain: Chain, signer: made.Issued | None) -> tuple[bytes, ...]:
    """The same CA key signed by somebody else, or by itself, in every CA's place."""
    name = tuple((one.oid, str(one.value)) for one in chain.ca.x509.subject)
    shape = SPIRE_CA.but(subject=name)
    if signer is None:
        return (chain.sent[0], der.of(made.root(shape.but(aki=False), private_key=chain.ca.private_key).x509))
    return (chain.sent[0], der.of(signer.issue(shape, private_key=chain.ca.private_key).x509))


def _again(chain: Chain, change: dict[str, Any]) -> bytes:
    """The root once more, from its own key."""
    return der.of(made.root(ROOT.but(subject=_subject(chain), **change), private_key=chain.root.private_key).x509)


def _crossed(chain: Chain) -> bytes:
    """The root's name and key, signed by a root of another name."""
    other = made.root(ROOT.but(subject=OTHER_NAME))
    return der.of(other.issue(ROOT.but(subject=_subject(chain), aki=True), private_key=chain.root.private_key).x509)


def _subject(chain: Chain) -> tuple[tuple[x509.ObjectIdentifier, str], ...]:
    return tuple((one.oid, str(one.value)) for one in chain.root.x509.subject)


def _ski(chain: Chain) -> bytes:
    return chain.root.x509.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


ROWS: dict[Position, tuple[Row, ...]] = {
    "leaf": (*NAMES, *LEAF_USES, *LEAF_FORM, *LEAF_SENT, *EVERYWHERE, *BELOW_THE_ROOT),
    "ca": (*EVERYWHERE, *BELOW_THE_ROOT, *SIGNER, *IDENTITY, *CA_IDENTITY, *CA_FORM),
    "root": (*EVERYWHERE, *SIGNER, *IDENTITY, *ROOT_FORM),
}
CASES = tuple(
    Case(base, position, row) for base in BASES for position, rows in ROWS.items() for row in rows if base in row.bases
)
