"""What the attacks share: their seed, the finished projects, and the count of what was tried."""

import collections
from collections.abc import Callable

import pytest

from tests.faults.stages import Finished, finish
from tests.support import syscalls

Tally = Callable[..., None]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a finished project, and one with other results."""
    if not syscalls.available():
        pytest.skip("this system does not report system calls")
    return finish(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return what decides which points and which damage an attack tries."""
    return int(request.config.getoption("--seed"))


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Return a function that adds to the counts of an attack, for the summary at the end."""

    def add(attack: str, **counts: int) -> None:
        record_property("attack", [attack, counts])

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was tried, by attack."""
    totals: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, value in report.user_properties:
                    if name == "attack":
                        totals[value[0]].update(value[1])
    if totals:
        seed = terminalreporter.config.getoption("--seed")
        terminalreporter.section(f"attacks, seed {seed}")
    for attack, counts in sorted(totals.items()):
        words = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        terminalreporter.line(f"{attack}: {words}")
