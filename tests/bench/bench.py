"""`nox -s bench`: `meshpki up` beside a plain script of the same kubectl and istioctl calls, both in one run.

Each round makes a fresh lab cluster for either side; medians of the rounds and their ratio are printed. Start-up is
measured beside kubectl's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from meshpki.artifacts import obtain
from meshpki.cluster.manifest import Object, waves
from meshpki.components.istio import operator
from meshpki.install import Target, steps
from meshpki.lab.driver import choose
from meshpki.lab.home import cache
from meshpki.lab.lab import Lab
from meshpki.lab.parts import prepare
from meshpki.settings import Settings, read

HERE = Path(__file__).parent


def meshpki(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "meshpki", *argv], capture_output=True, text=True, check=True)


def fresh() -> Lab:
    meshpki("lab", "down")
    meshpki("lab", "up")
    made = choose("native").lab()
    assert made is not None
    return made


def by_meshpki() -> dict[str, float]:
    lab = fresh()
    began = time.monotonic()
    where = ("--kubeconfig", str(lab.kubeconfig), "--context", lab.context, "-f", str(lab.settings))
    done = meshpki("up", *where, "--yes", "-o", "json")
    whole = time.monotonic() - began
    return {step["name"]: step["seconds"] for step in json.loads(done.stdout)["steps"]} | {"whole": whole}


def by_hand(folder: Path) -> dict[str, float]:
    lab = fresh()
    assert lab.settings is not None
    settings = read([lab.settings])
    write(settings, folder)
    programs = prepare(cache(), lambda _: None).binaries
    path = os.pathsep.join([*(str(programs[name].parent) for name in ("kubectl", "istioctl")), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(lab.kubeconfig)}
    argv = ["bash", str(HERE / "by_hand.sh"), str(folder)]
    began = time.monotonic()
    done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    whole = time.monotonic() - began
    return {name: int(since) / 1000 for since, name in map(str.split, done.stdout.splitlines())} | {"whole": whole}


def write(settings: Settings, folder: Path) -> None:
    """The same objects as `up` applies, in the files that by_hand.sh applies one after the other."""
    planned = {step.name: step for step in steps(settings, obtain(settings), Target())}
    daemons = {one["metadata"]["name"]: one for one in planned["spire"].objects if one["kind"] == "DaemonSet"}
    files: dict[str, Sequence[Object]] = {
        "cert-manager": planned["cert-manager"].objects,
        "root": (*planned["root-ca"].objects, *planned["istiod-ca"].objects),
        "spire": [one for one in planned["spire"].objects if one["kind"] != "DaemonSet"],
        **{name: [daemons[name]] for name in ("spire-agent", "spiffe-csi-driver")},
        "operator": [operator(settings)],
        "workloads": planned["workloads"].objects,
    }
    folder.mkdir(exist_ok=True, parents=True)
    for name, objects in files.items():
        ordered = [one for wave in waves(objects) for one in wave]
        (folder / f"{name}.yaml").write_text(yaml.dump_all(ordered, Dumper=yaml.CSafeDumper), encoding="utf-8")


def medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def start_up(rounds: int) -> dict[str, float]:
    command = [sys.executable, "-m", "meshpki"]
    cases = {"--version": [*command, "--version"], "--help": [*command, "--help"], "version": [*command, "version"]}
    return {name: statistics.median(_seconds(argv) for _ in range(rounds)) for name, argv in cases.items()}


def _seconds(argv: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(argv, capture_output=True, check=True, env={**os.environ, "NO_COLOR": "1"})
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "meshpki" / "bench")
    options = parser.parse_args()
    ours, theirs = [], []
    for number in range(options.rounds):
        ours.append(by_meshpki())
        print(f"round {number + 1}: up {ours[-1]['whole']:.1f} s", flush=True)
        theirs.append(by_hand(options.folder))
        print(f"round {number + 1}: by hand {theirs[-1]['whole']:.1f} s", flush=True)
    up, hand = medians(ours), medians(theirs)
    print(f"median: up {up['whole']:.1f} s, by hand {hand['whole']:.1f} s, ratio {up['whole'] / hand['whole']:.2f}")
    print("up, by step:")
    for step, seconds in up.items():
        print(f"  {step:<13} {seconds:.1f} s")
    print("by hand, since the start:")
    for step, seconds in hand.items():
        print(f"  {step:<13} {seconds:.1f} s")
    for name, seconds in start_up(15).items():
        print(f"meshpki {name}: {1000 * seconds:.0f} ms")


if __name__ == "__main__":
    main()
