"""The tests pass wherever they run, and leave it as it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.committed import commit, git

ROOT = Path(__file__).parents[1]
NOWHERE = "http://127.0.0.1:9"
SENSITIVE = (
    "support/loopback/test_clients.py::test_an_oauth_login_gets_a_token",
    "support/loopback/test_clients.py::test_versions_and_a_private_data_set",
    "support/loopback/test_clients.py::test_the_environment_holds_nothing_of_the_users",
    "cli/preflight/test_provenance.py::test_a_clean_project",
    "cli/preflight/test_provenance.py::test_no_repository",
    "cli/preflight/test_provenance.py::test_an_unknown_stage",
)


@pytest.mark.parametrize("test", SENSITIVE)
def test_the_tests_that_depend_on_the_environment_exist(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / file).read_text()


@pytest.mark.slow
def test_in_a_hook_behind_a_proxy_and_without_a_home(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    before = commit(theirs)
    hostile = {
        **dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"), NOWHERE),
        "GIT_DIR": str(theirs / ".git"),
        "GIT_INDEX_FILE": str(theirs / ".git/index"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "commit.gpgsign",
        "GIT_CONFIG_VALUE_0": "true",
        "DVC_GLOBAL_CONFIG_DIR": str(theirs / ".git/config"),
        "VERBOSE": "1",
    }
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | hostile
    options = ("-q", "-p", "no:cacheprovider", f"--basetemp={theirs / 'temporary'}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in SENSITIVE)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(SENSITIVE)} passed" in done.stdout
    assert git(theirs, "rev-parse", "HEAD") == before
