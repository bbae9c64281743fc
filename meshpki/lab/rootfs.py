"""A node's own root filesystem: the host's programs read-only, everything else its own and gone with its directory."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshpki.lab.topology import Node, Topology

PROGRAMS = "/opt/meshpki/bin"
PATH = f"{PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OLD_ROOT = ".host"
WRITTEN, WORK = ".usr/written", ".usr/work"

# Not below namespaces: the kubelet would change them for the whole machine, so it is shown what it wants to see.
KERNEL_WISHES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

DIRECTORIES = (
    *("proc", "sys", "dev", "run", "tmp", "usr", "root", "var/tmp", "var/log/pods", "var/log/containers"),
    *("etc/cni/net.d", "etc/kubernetes", "etc/containerd", "etc/ssl", "etc/alternatives", "etc/kernel-wishes"),
    *("var/lib/kubelet", "var/lib/containerd", PROGRAMS.lstrip("/")),
    *(OLD_ROOT, WRITTEN, WORK),
)


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount below the new root; a `source` that is no path is a kind of file system."""

    source: str
    target: str
    options: tuple[str, ...] = ("--rbind",)

    def argv(self, root: Path) -> tuple[str, ...]:
        """The command that makes it."""
        return ("mount", *self.options, self.source, str(root / self.target.lstrip("/")))


def mounts(root: Path, programs: Mapping[str, str]) -> tuple[Mount, ...]:
    """Everything mounted below a node's root, in order."""
    read_only = ("--bind", "-o", "ro")
    over = f"lowerdir=/usr,upperdir={root}/{WRITTEN},workdir={root}/{WORK}"
    return (
        # kube-proxy and the controller manager want directories made below /usr; they come to lie in the node
        Mount("overlay", "usr", ("-t", "overlay", "-o", over)),
        Mount("/etc/ssl", "etc/ssl", read_only),
        Mount("/etc/alternatives", "etc/alternatives", read_only),
        *(Mount(path, f"{PROGRAMS}/{name}", read_only) for name, path in programs.items()),
        Mount("proc", "proc", ("-t", "proc")),
        Mount("sysfs", "sys", ("-t", "sysfs")),
        # the cgroup controllers are mounted below the host's /sys, which the new one hides
        Mount("/sys/fs/cgroup", "sys/fs/cgroup"),
        Mount("/dev", "dev"),
        Mount("tmpfs", "run", ("-t", "tmpfs", "-o", "mode=755")),
        *(
            Mount(str(root / "etc/kernel-wishes" / name.replace("/", ".")), f"proc/sys/{name}", ("--bind",))
            for name in KERNEL_WISHES
        ),
    )


def files(topology: Topology, node: Node) -> dict[str, str]:
    """The small files of /etc, by path below the root.

    The name server is the node itself, where nothing listens: a name outside the cluster is refused at once instead
    of after a time-out.
    """
    hosts = "".join(f"{each.address} {each.name}\n" for each in topology.nodes)
    return {
        "etc/hosts": f"127.0.0.1 localhost\n{hosts}",
        "etc/hostname": f"{node.name}\n",
        "etc/resolv.conf": f"nameserver {node.address}\noptions timeout:1 attempts:1\n",
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
        "etc/group": "root:x:0:\nnogroup:x:65534:\n",
        "etc/nsswitch.conf": "hosts: files dns\n",
        **{f"etc/kernel-wishes/{name.replace('/', '.')}": f"{value}\n" for name, value in KERNEL_WISHES.items()},
    }


def populate(root: Path, contents: Mapping[str, str], programs: Mapping[str, str]) -> None:
    """Make the directories, links, files and mount points below `root`; again changes nothing."""
    for directory in DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    for directory in ("tmp", "var/tmp"):
        (root / directory).chmod(0o1777)
    for name, target in (("var/run", "/run"), *_merged_usr()):
        if not (root / name).is_symlink():
            (root / name).symlink_to(target)
    for path, text in contents.items():
        (root / path).write_text(text)
    for name in programs:
        (root / PROGRAMS.lstrip("/") / name).touch()


def _merged_usr() -> list[tuple[str, str]]:
    names = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
    return [(name, str(Path("/", name).readlink())) for name in names if Path("/", name).is_symlink()]


def enter(root: Path, planned: tuple[Mount, ...]) -> None:
    """Make `root` this mount namespace's root, with `planned` below it; nothing of the host's stays reachable.

    The caller is in a mount namespace of its own. Shared propagation comes last: pivot_root(2) refuses it, and
    volumes need it.
    """
    _call("mount", "--bind", str(root), str(root))
    for mount in planned:
        _call(*mount.argv(root))
    _call("pivot_root", str(root), str(root / OLD_ROOT))
    _call("umount", "--lazy", f"/{OLD_ROOT}")
    _call("mount", "--make-rshared", "/")


def _call(*argv: str) -> None:
    subprocess.run(argv, check=True, cwd="/")
