from meshpki.pki.certificate import read_chain
from meshpki.pki.chain import judge
from meshpki.pki.path import Expected
from meshpki.pki.untrusted import untrusted_svid
from tests.support import certificates as made
from tests.support.certificates import AT

ID = "spiffe://example.org/ns/meshpki-probe/sa/untrusted"


def test_nothing_is_wrong_with_it_but_its_signer() -> None:
    chain = read_chain(untrusted_svid(ID, AT).certificate)
    assert chain[0].uris == (ID,)
    refused = judge(chain, Expected((made.mesh_root().certificate,), AT, trust_domain="example.org"))
    assert refused.result == "broken"
    # MPK-303: it is signed by itself, and is no anchor; a wrong name, time or usage would have a code of its own
    assert {finding.code for finding in refused.findings if finding.severity != "warn"} == {"MPK-303"}


def test_each_has_a_key_of_its_own_that_is_not_shown() -> None:
    one, other = untrusted_svid(ID, AT), untrusted_svid(ID, AT)
    assert one.key != other.key
    assert b"PRIVATE KEY" in one.key
    assert "PRIVATE" not in repr(one)
