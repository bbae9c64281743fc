"""One seed for every suite here; the report's header prints it."""

import pytest


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--seed"))
