"""What all tests share: an environment of their own, and how often network scenarios are played."""

import os
import re
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Before torch is imported: the tests' networks and images are too small to gain from threads.
os.environ["OMP_NUM_THREADS"] = "1"

# `--hypothesis-profile thorough` for many examples. No deadlines: machines differ, and are shared.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("quick")

pytest_plugins = ("tests.support.projects",)

# Names of what git, DVC, Kaggle's clients, proxies and the package take from the environment.
SETTINGS = re.compile(
    r"(git|dvc|xdg)_.*|darkroom_(?!(realdata|contests|axe|kaggle_python)$).*|kaggle.*"
    r"|(https?|all|no)_proxy|netrc|verbose(_output)?|shell",
    re.I,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounds", type=int, default=1, help="how often each scenario of the network is played"
    )
    parser.addoption("--seed", type=int, default=1, help="what the attacks of tests/faults draw")


def pytest_configure() -> None:
    """Remove the user's settings: tests would fail because of them, or reach real services.

    A git hook's GIT_DIR makes tests commit to the repository that is committed to; a proxy
    receives requests meant for loopback; DVC runs stages through SHELL, and reports each command
    to its makers. This runs first, so that imports, fixtures and child processes never see them.
    """
    for name in filter(SETTINGS.fullmatch, [*os.environ]):
        del os.environ[name]
    files = dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "NETRC"), os.devnull)
    os.environ.update(files, DVC_NO_ANALYTICS="1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long as slow too, so that `-m "not slow"` leaves out both."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker("slow")


@pytest.fixture(scope="session", autouse=True)
def _private_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide from git the folders around the temporary ones, and give DVC places of its own."""
    own = str(tmp_path_factory.mktemp("own"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path_factory.getbasetemp()))
        for name in ("XDG_CONFIG_HOME", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
            patch.setenv(name, own)
        yield


@pytest.fixture(autouse=True, scope="session")
def _hang_up() -> Iterator[None]:
    """Let SIGHUP end what it is sent to: under nohup it is ignored, and no test could send it."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a scenario of the network is to be played."""
    return int(request.config.getoption("--rounds"))
