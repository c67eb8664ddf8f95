"""What all tests share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounds", type=int, default=5, help="how often each scenario of the network is played"
    )


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a scenario of the network is to be played."""
    return int(request.config.getoption("--rounds"))
