"""The one parent of a native lab: everything it starts dies with it.

Run as `python -m meshpki.lab.supervisor HOME NAME` by `lab up`, which it outlives. It makes the network, starts the
nodes, makes them one cluster, and then approves their serving certificates for as long as it lives.
"""

import sys
import time
from pathlib import Path
from typing import NoReturn

from meshpki.errors import MeshpkiError
from meshpki.lab import caretaker, cluster, nodes, spec, story
from meshpki.lab.home import Home, held
from meshpki.lab.progress import Progress
from meshpki.lab.spec import Spec


def main(home: Home) -> NoReturn:
    """Make or resume the lab that `home.spec` describes, then look after it until a node ends."""
    home.claim.parent.mkdir(mode=0o755, exist_ok=True)
    with held(home.supervisor), held(home.claim):
        wish = spec.read(home.spec)
        if wish is None:
            sys.exit(f"{home.spec} is missing")
        try:
            caretaker.look_after(raise_up(home, wish))
        except MeshpkiError as error:
            story.append(home.story, story.Failure(error.code, error.what, error.where, error.remedy))
    sys.exit(1)


def raise_up(home: Home, wish: Spec) -> cluster.Cluster:
    """Bring the lab to where it is whole, telling the story on the way."""
    started = time.monotonic()

    def report(progress: Progress) -> None:
        story.append(home.story, progress)

    with story.timed(report, "namespaces, network, containerd"):
        running = nodes.start(home, wish)
    lab = cluster.Cluster(home, wish, running, report)
    (cluster.resume if home.ready.exists() else cluster.create)(lab)
    home.ready.touch()
    story.append(home.story, story.Ready(round(time.monotonic() - started, 1)))
    return lab


if __name__ == "__main__":
    main(Home(Path(sys.argv[1]), sys.argv[2]))
