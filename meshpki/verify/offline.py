"""The same judgement of files that a user names: a chain, or a dump of an Envoy's secrets. No cluster is contacted."""

import base64
import binascii
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from meshpki.cluster import envoy
from meshpki.errors import BROKEN, OK, UsageError
from meshpki.pki import chain
from meshpki.pki.certificate import CHAIN_LIMIT, Certificate, UnparsableError, read_chain
from meshpki.pki.path import Expected
from meshpki.pki.verdict import Finding, Result, Verdict, result_of, unparsable
from meshpki.verify.demands import Demands, short_lived
from meshpki.verify.judge import Pinned, anchors_of, topology
from meshpki.verify.terms import garbage

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_LABEL = re.compile(rb"-----(?:BEGIN|END) ")
_SEQUENCE = b"\x30"


@dataclass(frozen=True)
class FileVerdict:
    """The judgement of one file; `bundle` is the fingerprints of the anchors beside the chain in a dump."""

    file: str
    expected: Expected
    result: Result
    path: tuple[Certificate, ...] = ()
    findings: tuple[Finding, ...] = ()
    bundle: tuple[str, ...] = ()

    @property
    def expires(self) -> datetime | None:
        """The earliest end of validity on the path (UTC)."""
        return min((one.not_after for one in self.path), default=None)

    def exit_code(self, fail_on: Literal["fail", "warn"] = "fail") -> int:
        """0 where the chain is proven, 5 where it is broken or cannot be judged, or warned of where that fails."""
        warned = fail_on == "warn" and any(finding.severity == "warn" for finding in self.findings)
        return OK if self.result == "proven" and not warned else BROKEN


def judge_chain(file: str, pem: bytes, expected: Expected) -> FileVerdict:
    """Judge the chain in a file; raises UsageError (MPK-361) for what is no PEM text of certificates."""
    try:
        return _of(file, expected, chain.judge(read_chain(pem), expected))
    except UnparsableError as error:
        if len(pem) > CHAIN_LIMIT or not armoured(pem):
            raise garbage(file, error) from error
        return _unparsable(file, expected, error)


def judge_dump(file: str, dump: bytes, expected: Expected) -> FileVerdict:
    """Judge the chain in a dump of Envoy's secrets, and the bundle beside it where SPIFFE's rules hold.

    Raises UsageError (MPK-362) for what is no such dump.
    """
    try:
        seen = envoy.parse(dump)
    except envoy.EnvoyError as error:
        raise _no_dump(file, error.what) from error
    if not seen.chain_pem and not any(seen.bundle_pem.values()):
        raise _no_dump(file, "it holds neither a certificate nor a bundle")
    if not seen.chain_pem:
        remedy = "look at what the proxy waits for when it asks for its certificate"
        finding = Finding("MPK-343", "fail", 38, "a certificate named `default`", "a bundle alone", remedy)
        return FileVerdict(file, expected, "broken", findings=(finding,), bundle=_bundle(seen, expected))
    try:
        verdict = chain.judge(read_chain(seen.chain_pem), expected)
    except UnparsableError as error:
        return _unparsable(file, expected, error)
    if not expected.trust_domain:
        return _of(file, expected, verdict)
    pinned = Pinned(expected.anchors, expected.trust_domain, expected.at)
    findings = (*verdict.findings, *topology(verdict.path, seen, pinned))
    return FileVerdict(file, expected, result_of(findings), verdict.path, findings, _bundle(seen, expected))


def demanded(verdict: FileVerdict, demands: Demands) -> FileVerdict:
    """The verdict with a finding for what has less time left than demanded, where it is proven."""
    if verdict.result != "proven" or demands.min_validity is None:
        return verdict
    findings = (*verdict.findings, *short_lived(verdict.path, demands.min_validity, verdict.expected.at))
    return replace(verdict, result=result_of(findings), findings=findings)


def armoured(pem: bytes) -> bool:
    """Whether text is PEM of certificates as far as that shows without reading one: whole blocks, each DER inside.

    What is not was never meant as a chain; what is, is judged, and bad certificates in it are findings.
    """
    blocks = _BLOCK.findall(pem)
    return bool(blocks) and len(_LABEL.findall(pem)) == 2 * len(blocks) and all(map(_der, blocks))


def _der(block: bytes) -> bool:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True).startswith(_SEQUENCE)
    except binascii.Error:
        return False


def _of(file: str, expected: Expected, verdict: Verdict) -> FileVerdict:
    return FileVerdict(file, expected, verdict.result, verdict.path, verdict.findings)


def _unparsable(file: str, expected: Expected, error: UnparsableError) -> FileVerdict:
    return FileVerdict(file, expected, "broken", findings=(unparsable(error, "whole certificates"),))


def _bundle(seen: envoy.Secrets, expected: Expected) -> tuple[str, ...]:
    return tuple(anchor.sha256 for anchor in anchors_of(seen, expected.trust_domain))


def _no_dump(file: str, why: str) -> UsageError:
    remedy = "save what `istioctl proxy-config secret POD -o json` prints, or Envoy's /config_dump"
    return UsageError("MPK-362", f"is no dump of Envoy's secrets: {why}", where=file, remedy=remedy)
