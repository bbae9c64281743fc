"""Where one lab keeps its state, and who holds it."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from platformdirs import user_cache_dir, user_state_dir

from meshpki.errors import PreconditionError, UsageError

DEFAULT_NAME = "meshpki-lab"
CLAIMS = Path("/run/meshpki")
TRIES = 20
PAUSE = 0.005
_NAME = re.compile(r"[a-z][a-z0-9-]{0,9}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Home:
    """One lab's directory; `name` also names its context, its nodes, its cgroup and its link on the host."""

    root: Path
    name: str = DEFAULT_NAME

    @property
    def turn(self) -> Path:
        """Lock of the `lab up` or `lab down` at work."""
        return self.root / "turn.lock"

    @property
    def supervisor(self) -> Path:
        """Lock that the supervisor holds while it lives."""
        return self.root / "supervisor.lock"

    @property
    def claim(self) -> Path:
        """Lock of the machine's one lab of this name: its link and its cgroup bear nothing but the name."""
        return CLAIMS / f"{self.name}.lock"

    @property
    def spec(self) -> Path:
        """What the lab was asked to be."""
        return self.root / "spec.json"

    @property
    def kind_config(self) -> Path:
        """What kind was asked to make."""
        return self.root / "kind.yaml"

    @property
    def driver(self) -> str:
        """Whose lab lies here, by what that driver writes first; empty where there is none."""
        written = {"native": self.spec, "kind": self.kind_config}
        return next((name for name, path in written.items() if path.exists()), "")

    @property
    def story(self) -> Path:
        """What the supervisor did, one JSON object a line."""
        return self.root / "story.jsonl"

    @property
    def ready(self) -> Path:
        """Exists once the cluster was whole; a lab without it is half-made."""
        return self.root / "ready"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def settings(self) -> Path:
        """The lab's overlay of meshpki.yaml."""
        return self.root / "settings.yaml"

    def log(self, what: str) -> Path:
        """The log file of one part."""
        return self.root / "log" / f"{what}.log"

    def node_root(self, node: str) -> Path:
        """The root filesystem of a node."""
        return self.root / node

    def first_process(self, node: str) -> Path:
        """File with the process id, as the host sees it, of a node's first process."""
        return self.root / f"{node}.pid"

    @property
    def foreign(self) -> bool:
        """Whether something lies here that is no lab: it lacks the lock that a lab's directory begins with."""
        if not self.root.is_dir():
            return self.root.exists()
        return not self.turn.exists() and any(self.root.iterdir())

    def make(self) -> None:
        """Create the directories, readable by their owner only; the lock comes first and stays: it marks them ours."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.turn.touch()
        (self.root / "log").mkdir(mode=0o700, exist_ok=True)


def locate() -> Home:
    """The lab that MESHPKI_LAB_HOME and MESHPKI_LAB_NAME name, or the user's own.

    Raises UsageError MPK-509 where the name is no DNS label of 2 to 11 characters.
    """
    name = os.environ.get("MESHPKI_LAB_NAME", DEFAULT_NAME)
    if not _NAME.fullmatch(name):
        remedy = "lower-case letters, digits and hyphens, 2 to 11 characters: it names a network link"
        raise UsageError("MPK-509", f"{name!r} cannot name a lab", where="MESHPKI_LAB_NAME", remedy=remedy)
    default = Path(user_state_dir("meshpki")) / ("lab" if name == DEFAULT_NAME else name)
    return Home(Path(os.environ.get("MESHPKI_LAB_HOME") or default).absolute(), name)


def cache() -> Path:
    """Where builds and images are kept from one lab to the next."""
    return Path(user_cache_dir("meshpki"))


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold `lock` and write this process's id into it; BlockingIOError where another process holds it."""
    with lock.open("a+") as handle:
        _lock(handle)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _lock(handle: IO[str]) -> None:
    """Again for an instant, since whoever asks for the `holder` has the lock while it looks."""
    for _ in range(TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(PAUSE)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(lock: Path) -> int | None:
    """The process that holds `lock` now; None where it is free. A dead process holds nothing."""
    try:
        handle = lock.open()
    except FileNotFoundError:
        return None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(handle.read() or 0) or None
    return None


@contextmanager
def turn(home: Home) -> Iterator[None]:
    """Be the only `lab up` or `lab down` on this home, whose every file a lab may remove.

    Raises PreconditionError MPK-503, MPK-515 where a lab of this name runs that another home knows of, MPK-518 before
    anything is written where other files than a lab's lie there.
    """
    if home.foreign:
        remedy = "let MESHPKI_LAB_HOME name a directory that is empty or not there yet, or unset it"
        raise PreconditionError("MPK-518", "other files than a lab's lie there", where=str(home.root), remedy=remedy)
    home.make()
    other = holder(home.claim)
    if other is not None and other != holder(home.supervisor):
        what = f"a lab named {home.name} runs already, of another home (process {other})"
        remedy = "stop it where it was started, or give this one a name: MESHPKI_LAB_NAME=other"
        raise PreconditionError("MPK-515", what, where=str(home.claim), remedy=remedy)
    try:
        with held(home.turn):
            yield
    except BlockingIOError:
        who = f"process {holder(home.turn)}"
        what = f"another lab command ({who}) is at work"
        raise PreconditionError("MPK-503", what, where=str(home.root), remedy="wait until it has ended") from None
