"""`verify` from what was asked to its exit code: look at the mesh or read the file, judge, tell."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from meshpki import __version__
from meshpki.cli import output, verdicts
from meshpki.cli.counting import counting
from meshpki.cli.junit_file import JUnitFile
from meshpki.cli.session import SystemClock, open_cluster, settings_of
from meshpki.cli.verdicts import files, github
from meshpki.cli.verdicts.junit import as_junit
from meshpki.cli.verdicts.situation import watched
from meshpki.cli.verdicts.tree import ASCII, LINES
from meshpki.cli.verify_options import Form, Rules
from meshpki.cli.verify_wish import EVERY, OfFile, OfMesh, Telling, Wish
from meshpki.cli.watch import watch
from meshpki.cluster.client import Reader
from meshpki.errors import PRECONDITION
from meshpki.pki.certificate import CHAIN_LIMIT
from meshpki.pki.path import Expected
from meshpki.settings import Settings, read
from meshpki.verify import WIDTH, Requirements, Scope, offline, terms, unjudged, verify
from meshpki.verify.assessment import Assessment, assess
from meshpki.verify.demands import Demands
from meshpki.verify.gather import Progress

_SUMMARY = "GITHUB_STEP_SUMMARY"
_DEPTH = 1


def prove(wish: Wish) -> int:
    """Judge the mesh; raises what verify raises, and PreconditionError where nothing could be judged."""
    demands = wish.counting.demands()
    properties = {"context": wish.mesh.context, "meshpki": __version__}
    with JUnitFile(wish.telling.junit_file, properties, shown=wish.telling.form is Form.JUNIT) as junit:
        if wish.mesh.settings:
            read(wish.mesh.settings)  # wrong files are told before a cluster is asked
        cluster = open_cluster(wish.mesh.context, wish.mesh.kubeconfig)
        junit.properties["context"] = cluster.context
        settings = settings_of(cluster, wish.mesh.settings)
        if wish.telling.watch:
            watch_mesh(cluster, settings, wish, demands)
        with counting() as progress:
            assessment = look(cluster, settings, wish.mesh, demands, progress)
        return tell(cluster, assessment, wish.telling, junit)


def look(reader: Reader, settings: Settings, mesh: OfMesh, demands: Demands, progress: Progress) -> Assessment:
    """One look at the mesh under the user's demands."""
    clock = SystemClock()
    report = verify(
        reader,
        settings,
        clock.now(),
        Scope(mesh.namespace, mesh.selector, mesh.workloads),
        Requirements(mesh.root_fingerprints, mesh.authorities, demands.strict),
        width=mesh.width or WIDTH,
        progress=progress,
        now=clock.now,
    )
    return assess(report, demands)


def watch_mesh(reader: Reader, settings: Settings, wish: Wish, demands: Demands) -> None:
    """Look again and again; ends only by Ctrl-C, or where the first look fails."""
    every = wish.telling.every or EVERY
    quietly = partial(look, reader, settings, wish.mesh, demands, lambda _done, _of: None)
    watch(quietly, watched(_texts(wish.telling.form)), every, SystemClock())


def tell(reader: Reader, assessment: Assessment, telling: Telling, junit: JUnitFile) -> int:
    """Write the report and answer with its exit code; raises PreconditionError where nothing could be judged."""
    code = assessment.exit_code
    error = unjudged(reader, assessment.report) if code == PRECONDITION else None
    if junit.wanted:
        junit.keep(as_junit(assessment, junit.properties, error))
    match telling.form:
        case Form.JUNIT:
            pass  # which is shown with the file
        case Form.GITHUB:
            output.data(github.annotations(assessment))
            _append(github.summary_page(assessment.report))
        case form:
            output.data(_texts(form)(assessment))
    for unused in assessment.unused:
        output.progress(output.plain(f"--ignore {unused} met no finding that it could let be"))
    if error:
        raise error
    return code


def judge_file(wish: Wish) -> int:
    """Judge the file; contacts no cluster. Raises UsageError for what cannot be read or is no such file."""
    demands = wish.counting.demands()
    expected = _expected(wish.file, strict=demands.strict)
    name = str(wish.file.chain or wish.file.dump).encode(errors="backslashreplace").decode()
    if wish.file.chain:
        judged = offline.judge_chain(name, terms.content(wish.file.chain, CHAIN_LIMIT), expected)
    else:
        judged = offline.judge_dump(name, terms.content(wish.file.dump or Path(), terms.DUMP_LIMIT), expected)
    verdict = offline.demanded(judged, demands)
    warnings = demands.fail_on == "warn"
    forms: dict[Form, Callable[[], str]] = {
        Form.TABLE: lambda: files.file_table(verdict, warnings=warnings),
        Form.WIDE: lambda: files.file_table(verdict, warnings=True),
        Form.SHORT: lambda: files.file_line(verdict),
        Form.JSON: lambda: files.file_json(verdict),
        Form.YAML: lambda: files.file_yaml(verdict),
    }
    output.data(forms[wish.telling.form]())
    return verdict.exit_code(demands.fail_on)


def _expected(file: OfFile, *, strict: bool) -> Expected:
    at = terms.moment(file.at) if file.at else datetime.now(UTC)
    usages = terms.usages(file.usages)
    anchors = terms.anchors(file.anchors or Path())
    domain = "" if file.rules is Rules.PATH else terms.trust_domain(file.trust_domain, anchors)
    depth = _DEPTH if file.max_depth is None else file.max_depth
    return Expected(anchors, at, depth, domain, usages, strict)


def _texts(form: Form) -> Callable[[Assessment], str]:
    branches = LINES if output.terminal().unicode else ASCII
    writers: dict[Form, Callable[[Assessment], str]] = {
        Form.TABLE: lambda one: verdicts.table(one.report, output.width(), warnings=one.demands.fail_on == "warn"),
        Form.WIDE: lambda one: verdicts.wide(one.report),
        Form.SHORT: lambda one: verdicts.short(one.report),
        Form.TREE: lambda one: verdicts.tree(one.report, branches),
        Form.JSON: lambda one: verdicts.as_json(one.report),
        Form.YAML: lambda one: verdicts.as_yaml(one.report),
    }
    return writers[form]


def _append(page: str) -> None:
    """Add a page to the run's summary where GitHub names one; that it cannot be written changes no verdict."""
    path = os.environ.get(_SUMMARY)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(page)
    except OSError as error:
        what = f"warning MPK-368: {_SUMMARY} cannot be written: {error.strerror or type(error).__name__}"
        output.progress(output.plain(what))
