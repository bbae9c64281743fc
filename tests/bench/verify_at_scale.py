"""`nox -s bench-verify`: `meshpki verify` of 10,000 pods beside one process a pod, on a stand-in for the API server.

What is measured is the clients, whole processes, over TLS on loopback; what a port-forward costs a kubelet is injected
as time, and the stand-in shares the machine with the client. One process a pod is `kubectl exec`, which asks Envoy the
same; istioctl's own port-forward is tunnelled SPDY, which the stand-in does not speak. One spire-server serves its
chain: each pod is proven to the root through its CA.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Run:
    """Seconds on the clock and of CPU, and the most memory in MiB."""

    wall: float
    cpu: float
    memory: float


@contextmanager
def stand_in(folder: Path, pods: int, small: int, seconds: float) -> Iterator[None]:
    argv = [sys.executable, str(HERE / "stand_in.py"), str(folder), str(pods), str(small), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            server.terminate()


def timed(argv: Sequence[str], expected: str) -> Run:
    began = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert child.stdout is not None
        said = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert expected in said.decode(), said.decode()[-2000:]
    return Run(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def verify(kubeconfig: Path, pods: int, width: int, *argv: str) -> Run:
    command = [sys.executable, "-m", "meshpki", "verify", "--kubeconfig", str(kubeconfig), "-o", "short"]
    command += ["--width", str(width), *argv]
    return timed(command, expected=f"{pods} of {pods} pods proven, 0 broken, 0 unknown")


def one_process_a_pod(kubectl: str, kubeconfig: Path, pods: int) -> float:
    """Seconds a pod."""
    request = ["pilot-agent", "request", "GET", "config_dump"]
    runs = [
        timed(
            [kubectl, "--kubeconfig", str(kubeconfig), "exec", "-n", "small", f"app-{number % 50}-5d9-{number:05}",
             "-c", "istio-proxy", "--", *request],
            expected="dynamic_active_secrets",
        )
        for number in range(pods)
    ]  # fmt: skip
    return sum(run.wall for run in runs) / pods


def middle(runs: Sequence[Run]) -> Run:
    return sorted(runs, key=lambda run: run.wall)[len(runs) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--stream-ms", type=float, default=100)
    parser.add_argument("--width", type=int, default=64, help="what meshpki has in flight")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", type=int, default=30, help="how many processes stand for the loop")
    parser.add_argument("--kubectl", default="kubectl")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kubeconfig = folder / "kubeconfig"
        with stand_in(folder, options.pods, options.small, options.stream_ms / 1000):
            small, large, loop = [], [], []
            for _ in range(options.rounds):
                small.append(verify(kubeconfig, options.small, options.width, "-n", "small"))
                large.append(verify(kubeconfig, options.pods, options.width))
                loop.append(one_process_a_pod(options.kubectl, kubeconfig, options.loop))
    report(options, middle(small), middle(large), statistics.median(loop))


def report(options: argparse.Namespace, small: Run, large: Run, process: float) -> None:
    floor = options.pods * options.stream_ms / 1000 / options.width
    each = f"{options.stream_ms:.0f} ms a stream (injected)"
    wide = f"{options.width} in flight, {each}"
    print(f"stand-in for the API server on loopback, TLS, median of {options.rounds}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, shared with the stand-in")
    for pods, run in ((options.small, small), (options.pods, large)):
        print(f"meshpki verify, {pods} pods, {wide}: {run.wall:.1f} s, {run.cpu:.1f} s of CPU, {run.memory:.0f} MiB")
    print(f"floor, {options.pods} pods, {wide}: {floor:.1f} s; verify is {large.wall / floor:.2f} of it")
    whole = process * options.pods
    print(f"one process a pod, 1 in flight, {each}: {1000 * process:.0f} ms a pod (from {options.loop}): {whole:.0f} s")
    print(f"verify with {wide} is {whole / large.wall:.0f} times as fast as that")
    print(f"memory, {options.small} to {options.pods} pods, {wide}: {large.memory - small.memory:+.0f} MiB")


if __name__ == "__main__":
    main()
