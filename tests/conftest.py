"""Where tests get a cluster from: the native lab, or pytest-kind where a Docker engine answers and no lab is there.

On the latter there are no release files that we can pin, so tests of a whole mesh are left out.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from meshpki.cluster.kubernetes import KubernetesCluster, connect
from meshpki.lab.driver import choose
from meshpki.lab.home import cache, locate
from meshpki.lab.lab import Lab
from tests.support import driver
from tests.support.browser import Browser, found, opened
from tests.support.making import Making

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's background job ignores Ctrl-C, and all that it starts with it: some tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# a machine that builds a cluster beside the tests is slow; what must not hang has a bound of its own
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

_SEEN = pytest.StashKey[list[str]]()
_MAKING = pytest.StashKey[Making]()
REQUIRED = os.environ.get("MESHPKI_LAB") == "required"
MESHPKI = (sys.executable, "-m", "meshpki")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the expensive suites whole instead of a sample")
    parser.addoption(
        "--seed", type=int, default=random.SystemRandom().randrange(10_000), help="what the sample is drawn from"
    )


@pytest.hookimpl(trylast=True)  # after pytest's own reordering by fixtures
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What cannot run here is told; a suite that has no sample cheap enough belongs to `nox -s acceptance` alone.

    What needs no lab comes first: the lab is built meanwhile.
    """
    items.sort(key=_needs_lab)
    native = [item for item in items if item.get_closest_marker("native")]
    if native and _driver() == "kind":
        for item in native:
            item.add_marker(pytest.mark.skip(driver.LEFT_OUT))
    if config.getoption("--full"):
        return
    left = [item for item in items if item.get_closest_marker("acceptance")]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


def _needs_lab(item: pytest.Item) -> bool:
    return item.get_closest_marker("lab") is not None


def pytest_collection_finish(session: pytest.Session) -> None:
    """The lab is begun as soon as it is known that tests of this run need it."""
    needed = any(_needs_lab(item) and "lab" in getattr(item, "fixturenames", ()) for item in session.items)
    if needed and not session.config.option.collectonly and _driver() == "native":
        making(session.config)


def making(config: pytest.Config) -> Making:
    """`lab up` for this run, begun once; what it made ends with the run."""
    if _MAKING not in config.stash:
        cache().mkdir(parents=True, exist_ok=True)
        up = [*MESHPKI, *driver.UP, *(["--install-packages"] if REQUIRED else [])]
        shared = cache() / f"tests-of-{locate().name}.lock"
        begun = Making(up, [*MESHPKI, "lab", "down"], shared, there=choose("native").lab() is not None)
        config.add_cleanup(begun.end)
        config.stash[_MAKING] = begun
    return config.stash[_MAKING]


def pytest_report_header(config: pytest.Config) -> str:
    how = "in full" if config.getoption("--full") else f"sampled, --seed {config.getoption('--seed')}"
    return f"expensive suites: {how}; lab: {'required' if REQUIRED else 'used where it can run'}"


@pytest.fixture(scope="session")
def sample(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.config.getoption("--seed"))  # noqa: S311 - a sample, no secret


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """What a suite has seen, told at the end of the run."""
    return request.config.stash.setdefault(_SEEN, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_SEEN, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Lab:
    """A running lab, at the default place; it is left as it was found, running or not."""
    if _driver() == "kind":
        kind = request.getfixturevalue("kind_cluster")
        return Lab(Path(kind.kubeconfig_path), f"kind-{kind.name}", None, None, None)
    told = making(request.config).join(seconds=3000)
    made = choose("native").lab()
    if made is None and REQUIRED:
        pytest.fail(f"no lab: {told}")
    if made is None:
        pytest.skip(f"no lab here: {told}")
    return made


def _driver() -> str:
    return driver.of_tests(required=REQUIRED, made=locate().driver)


@pytest.fixture(scope="session")
def lab_cluster(lab: Lab) -> KubernetesCluster:
    return connect(lab.context, lab.kubeconfig)


@pytest.fixture(scope="session")
def meshpki() -> "Command":
    return Command()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser without a window; not every machine has one."""
    program = found()
    if not program:
        pytest.skip("no Chromium here, so no page was looked at: apt-get install chromium")
    with opened(program, tmp_path_factory.mktemp("browser")) as one:
        yield one


class Command:
    """The command line as a user runs it: a process of its own."""

    def start(self, *argv: str, **options: object) -> subprocess.Popen[str]:
        environment = {**os.environ, "NO_COLOR": "1", **dict(options.pop("env", {}))}  # type: ignore[call-overload]
        return subprocess.Popen(
            [*MESHPKI, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __call__(self, *argv: str, seconds: float = 1200, **options: object) -> subprocess.CompletedProcess[str]:
        child = self.start(*argv, **options)
        out, err = child.communicate(timeout=seconds)
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)
