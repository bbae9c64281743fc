import pytest

from meshpki.lab.node import kubelet_argv
from meshpki.lab.nodes import inside


@pytest.mark.parametrize(
    ("flags", "added"),
    [
        (
            'KUBELET_KUBEADM_ARGS="--node-ip=10.250.0.11 --cgroup-root=/a"\n',
            ["--node-ip=10.250.0.11", "--cgroup-root=/a"],
        ),
        ('OTHER="--x=1"\nKUBELET_KUBEADM_ARGS="--v=2"\n', ["--v=2"]),
        ('KUBELET_KUBEADM_ARGS=""\n', []),
        ("", []),
    ],
)
def test_the_kubelet_gets_what_kubeadm_wrote_for_it(flags: str, added: list[str]) -> None:
    argv = kubelet_argv(flags)
    assert argv[0].endswith("/kubelet")
    assert "--config=/var/lib/kubelet/config.yaml" in argv
    assert argv[4:] == added


def test_a_command_enters_every_namespace_of_a_node_and_dies_with_its_caller() -> None:
    argv = inside(11, ("ctr", "version"))
    target, command = argv[: argv.index("--")], argv[-2:]
    assert target[:3] == ("nsenter", "--target", "11")
    assert set(target[3:]) == {"--mount", "--uts", "--ipc", "--net", "--pid"}
    assert argv[len(target) + 1 : len(target) + 4] == ("setpriv", "--pdeathsig", "KILL")
    assert command == ("ctr", "version")
