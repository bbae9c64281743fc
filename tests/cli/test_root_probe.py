"""What the run of a root rotation does about its probe's namespace."""

from datetime import timedelta

import pytest

from meshpki.cli.root_forms import Intent
from meshpki.cli.root_run import RootRun
from meshpki.cli.root_wish import Wish
from meshpki.components.probe import NAMESPACE, NAMESPACE_REF
from meshpki.errors import PreconditionError
from meshpki.rotate import goals, journey
from meshpki.workflow.work import Limits
from tests.support.cluster import namespace
from tests.support.rotating import SETTINGS, rotating


def test_a_namespace_of_a_users_is_neither_labelled_nor_deleted_and_nothing_is_begun() -> None:
    mesh = rotating()
    mesh.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}, namespace(NAMESPACE))
    theirs = mesh.objects[NAMESPACE_REF]
    intent = Intent(
        context=mesh.context,
        pin=journey.required_pin(mesh),
        standing=None,
        first=goals.NEW_ROOT,
        planned=timedelta(minutes=3),
    )
    with pytest.raises(PreconditionError, match="MPK-453"):
        RootRun(mesh, SETTINGS, Wish(), Limits(timedelta(seconds=20)), intent, mesh.hours).carried_out()
    assert mesh.objects[NAMESPACE_REF] == theirs
    assert mesh.writes == []
