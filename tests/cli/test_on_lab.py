"""Table of environments -> what no proxy is asked for once the lab is there."""

from pathlib import Path

import pytest

from meshpki.cli.on_lab import left_out, past_proxies
from meshpki.cluster.kubeconfig import configured
from meshpki.lab.lab import Lab

HOST = "10.250.0.11"
CONFIG = """
current-context: lab
contexts: [{name: lab, context: {cluster: lab}}]
clusters: [{name: lab, cluster: {server: "https://10.250.0.11:6443"}}]
users: []
"""


@pytest.mark.parametrize(
    ("environment", "upper", "lower"),
    [
        ({}, HOST, HOST),
        ({"NO_PROXY": "a,b"}, f"a,b,{HOST}", f"a,b,{HOST}"),
        ({"no_proxy": "a"}, f"a,{HOST}", f"a,{HOST}"),
        ({"NO_PROXY": "a", "no_proxy": "b"}, f"a,{HOST}", f"b,{HOST}"),
        ({"NO_PROXY": "*"}, "*", "*"),
        ({"NO_PROXY": "a", "no_proxy": "*"}, f"a,{HOST}", "*"),
    ],
)
def test_both_spellings_keep_what_they_said(environment: dict[str, str], upper: str, lower: str) -> None:
    assert left_out(HOST, environment) == {"NO_PROXY": upper, "no_proxy": lower}


def test_no_proxy_is_asked_for_the_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("https_proxy", "http://127.0.0.1:1"), ("NO_PROXY", ""), ("no_proxy", "")):
        monkeypatch.setenv(name, value)
    (tmp_path / "kubeconfig").write_text(CONFIG)
    made = Lab(tmp_path / "kubeconfig", "lab", None, None, None)
    assert configured("", made.kubeconfig).settings.proxy == "http://127.0.0.1:1"
    assert past_proxies(made) is made
    assert configured("", made.kubeconfig).settings.proxy == ""
