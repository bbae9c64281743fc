"""`nox -s bench-lab`: `meshpki verify` of the lab's mesh beside a loop of `istioctl proxy-config secret` over its pods.

Both ask the same Envoys of the same real cluster, in turns. istioctl prints what one Envoy holds and judges nothing;
verify proves every chain and looks at the control plane too. The lab of MESHPKI_LAB_NAME is used, and made if need be.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from meshpki.cli.session import open_cluster, settings_of
from meshpki.lab.driver import choose
from meshpki.lab.home import cache
from meshpki.lab.lab import Lab
from meshpki.lab.parts import prepare
from meshpki.verify import WIDTH, Report, verify
from tests.bench.verify_at_scale import Run, middle, timed


def laboratory() -> Lab:
    subprocess.run([sys.executable, "-m", "meshpki", "up", "--lab"], stdout=subprocess.DEVNULL, check=True)
    lab = choose("native").lab()
    assert lab is not None
    return lab


def by_library(lab: Lab) -> tuple[Run, Report]:
    cluster = open_cluster(lab.context, lab.kubeconfig)
    settings = settings_of(cluster, ())
    began, busy = time.monotonic(), time.process_time()
    report = verify(cluster, settings, datetime.now(UTC))
    return Run(time.monotonic() - began, time.process_time() - busy, 0), report


def by_command(lab: Lab, proven: str) -> Run:
    where = ("--kubeconfig", str(lab.kubeconfig), "--context", lab.context)
    return timed([sys.executable, "-m", "meshpki", "verify", *where, "-o", "short"], expected=proven)


def by_istioctl(lab: Lab, istioctl: Path, pods: Sequence[tuple[str, str]]) -> Run:
    where = ("--kubeconfig", str(lab.kubeconfig), "--context", lab.context, "-o", "json")
    runs = [
        timed([str(istioctl), "proxy-config", "secret", name, "-n", namespace, *where], expected="dynamicActiveSecrets")
        for namespace, name in pods
    ]
    return Run(sum(run.wall for run in runs), sum(run.cpu for run in runs), max(run.memory for run in runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lab = laboratory()
    istioctl = prepare(cache(), lambda _: None).binaries["istioctl"]
    _, report = by_library(lab)
    pods = [(pod.pod.ref.namespace, pod.pod.ref.name) for pod in report.pods]
    library, command, loop = [], [], []
    for _ in range(options.rounds):
        library.append(by_library(lab)[0])
        command.append(by_command(lab, proven=f"{len(pods)} of {len(pods)} pods proven"))
        loop.append(by_istioctl(lab, istioctl, pods))
    print(
        f"lab, {len(pods)} pods and {len(report.places)} other places, at most {WIDTH} pods asked at a time, median of"
        f" {options.rounds}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for name, runs in (
        ("verify, the library in a running process", library),
        ("meshpki verify, the whole command", command),
        (f"istioctl proxy-config secret, {len(pods)} processes one after the other", loop),
    ):
        run = middle(runs)
        print(f"{name}: {run.wall:.2f} s, {run.cpu:.2f} s of CPU")
    print(f"the command is {middle(loop).wall / middle(command).wall:.1f} times as fast as the loop")


if __name__ == "__main__":
    main()
