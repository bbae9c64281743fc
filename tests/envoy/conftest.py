import sys
from collections.abc import Iterator

import pytest

if sys.platform != "linux":
    collect_ignore_glob = ["test_*.py"]  # its Envoy is built for Linux alone
else:
    from tests.envoy.states import ORDERED, holding
    from tests.support.envoys import Envoy, running

    @pytest.fixture(scope="session")
    def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Envoy, Envoy]]:
        """A and B, which trust one root; whoever uses them next gives them what they shall hold."""
        first = ORDERED[0]
        with running(tmp_path_factory.mktemp("envoy"), holding("A", *first.a), holding("B", *first.b)) as both:
            yield both
