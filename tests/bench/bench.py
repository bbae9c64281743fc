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
from meshpki.settings import read

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
    planned = {step.name: step for step in steps(settings, obtain(settings), Target())}
    files: dict[str, Sequence[Object]] = {
        "cert-manager": planned["cert-manager"].objects,
        "root": (*planned["root-ca"].objects, *planned["istiod-ca"].objects),
        "spire": planned["spire"].objects,
        "operator": [operator(settings)],
        "workloads": planned["workloads"].objects,
    }
    folder.mkdir(exist_ok=True, parents=True)
    for name, objects in files.items():
        ordered = [one for wave in waves(objects) for one in wave]
        (folder / f"{name}.yaml").write_text(yaml.dump_all(ordered, Dumper=yaml.CSafeDumper), encoding="utf-8")
    programs = prepare(cache(), lambda _: None).binaries
    path = os.pathsep.join([*(str(programs[name].parent) for name in ("kubectl", "istioctl")), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(lab.kubeconfig)}
    began = time.monotonic()
    subprocess.run(["bash", str(HERE / "by_hand.sh"), str(folder)], env=environment, check=True)
    return {"whole": time.monotonic() - began}


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
    up, hand = (statistics.median(run["whole"] for run in side) for side in (ours, theirs))
    print(f"median: up {up:.1f} s, by hand {hand:.1f} s, ratio {up / hand:.2f}")
    for step in ours[0]:
        print(f"  {step:<13} {statistics.median(run[step] for run in ours):.1f} s")
    for name, seconds in start_up(15).items():
        print(f"meshpki {name}: {1000 * seconds:.0f} ms")


if __name__ == "__main__":
    main()
