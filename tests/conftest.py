"""What all tests share."""

import os
import re
from collections.abc import Iterator

import pytest

pytest_plugins = ("tests.support.projects",)

# Names of what git, DVC, Kaggle's clients, proxies and the package take from the environment.
SETTINGS = re.compile(
    r"(git|dvc|darkroom|xdg)_.*|kaggle.*|(https?|all|no)_proxy|netrc|verbose(_output)?|shell", re.I
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounds", type=int, default=5, help="how often each scenario of the network is played"
    )


def pytest_configure() -> None:
    """Keep the settings of whoever runs the tests out: theirs would fail, or reach real things.

    A git hook's GIT_DIR has tests commit to the repository that is committed to; a proxy is asked
    for what lies on loopback; DVC runs stages through SHELL, and tells its makers of each command.
    Here, so that imports, fixtures of any scope and other processes all find them gone.
    """
    for name in filter(SETTINGS.fullmatch, [*os.environ]):
        del os.environ[name]
    files = dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "NETRC"), os.devnull)
    os.environ.update(files, DVC_NO_ANALYTICS="1")


@pytest.fixture(scope="session", autouse=True)
def _apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep from git what lies around the temporary folders, from DVC what its projects share."""
    own = str(tmp_path_factory.mktemp("own"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path_factory.getbasetemp()))
        for name in ("XDG_CONFIG_HOME", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
            patch.setenv(name, own)
        yield


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a scenario of the network is to be played."""
    return int(request.config.getoption("--rounds"))
