"""`nox` runs everything, expensive suites sampled from a printed seed; `nox -s acceptance` runs those in full."""

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = False
PYPROJECT = nox.project.load_toml("pyproject.toml")


def _install(session: nox.Session, *groups: str) -> None:
    session.install("-e", ".", *(package for group in groups for package in PYPROJECT["dependency-groups"][group]))


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types and the layers."""
    _install(session, "lint", "test")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, the lab's included; the lab is built at the first run."""
    _install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def acceptance(session: nox.Session) -> None:
    """Every mutant and graph, more random rotations by real Envoys, then every kill and drill in full, on the lab."""
    _install(session, "test")
    session.run("pytest", "tests/conformance", "tests/envoy", "--full", *session.posargs)
    session.run("pytest", "tests/e2e", "--full", *session.posargs, env={"MESHPKI_LAB": "required"})


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against kubectl, istioctl and openssl, both sides in one run on the lab."""
    _install(session, "test")
    session.run("python", "tests/bench/bench.py", *session.posargs)


@nox.session(name="bench-lab")
def bench_lab(session: nox.Session) -> None:
    """`meshpki verify` of the lab's mesh beside a loop of istioctl over its pods."""
    _install(session, "test")
    session.run("python", "tests/bench/verify_on_lab.py", *session.posargs, env={"PYTHONPATH": "."})


@nox.session(name="bench-verify")
def bench_verify(session: nox.Session) -> None:
    """`meshpki verify` of 10,000 pods beside one process a pod, on a stand-in for the API server."""
    _install(session, "test")
    session.run("python", "tests/bench/verify_at_scale.py", *session.posargs, env={"PYTHONPATH": "."})
