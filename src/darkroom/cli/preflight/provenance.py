"""The provenance of a result: its git commit, and whether DVC would reproduce it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from darkroom.errors import ArtifactError
from darkroom.project.packages import missing_module_error

TRACKED = ("params.yaml", "dvc.yaml", "dvc.lock", "darkroom.json", "src", "metrics")
_IGNORED = "!!"  # of git's short status


@dataclass(frozen=True)
class Commit:
    """A commit, and the files that differ from it.

    Attributes:
        sha: 40 hexadecimal digits (64 in a repository of SHA-256).
        changed: Those of params.yaml, dvc.yaml, dvc.lock, darkroom.json and the files of src and
            metrics that differ from the commit, or are not in it; sorted, relative to the project.
    """

    sha: str
    changed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.sha}-dirty" if self.changed else self.sha


def read_commit(root: Path) -> Commit | None:
    """Return the current commit of a project; None without git, repository or commit.

    Args:
        root: The project's root, which may be a subfolder of the repository.

    Raises:
        ArtifactError: git fails; with its message.
    """
    try:
        prefix_output = _git(root, "rev-parse", "--show-prefix")
    except FileNotFoundError:  # no git
        return None
    if prefix_output.returncode and b"not a git repository" in prefix_output.stderr:
        return None
    prefix = os.fsdecode(_require_success(prefix_output)).removesuffix("\n")
    head = _git(root, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    if head.returncode == 1:
        return None
    # Ignored files too: a dvc.lock that .gitignore names is in no commit. -z: names unquoted.
    options = ("status", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
    output = _require_success(_git(root, *options, "--", *TRACKED))
    entries = [os.fsdecode(entry) for entry in output.split(b"\0") if entry]
    changed = [(entry[:2], entry[3:].removeprefix(prefix)) for entry in entries]
    counted = sorted(name for state, name in changed if state != _IGNORED or _is_code(name))
    return Commit(_require_success(head).decode().strip(), tuple(counted))


def explain_no_commit(root: Path) -> tuple[str, str]:
    """Return why a project has no commit, and how to fix it."""
    if shutil.which("git") is None:
        return "git is not installed", "install git"
    root = root.resolve()
    configured = os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)  # git(1)
    ceilings = {Path(folder).resolve() for folder in configured if folder}
    above = takewhile(lambda folder: folder not in ceilings, root.parents)
    if not any((folder / ".git").exists() for folder in (root, *above)):
        return "no git repository", 'run `git init; git add .; git commit -m "…"`'
    if _git(root, "rev-parse", "--show-prefix").returncode:
        return "a .git that git does not accept", "repair it or clone the repository again"
    return (
        "a git repository without a commit that can be read",
        'run `git add .; git commit -m "…"` (`git fsck` reports damage)',
    )


def outdated_stages(root: Path, stage: str) -> list[str]:
    """Return which of a stage and its dependencies `dvc status` reports as changed.

    Args:
        root: The project's root.
        stage: As DVC names it: `submission@carvana`.

    Raises:
        ArtifactError: DVC fails; with its message.
        ResourceError: It is not installed.
    """
    if find_spec("dvc") is None and (lack := missing_module_error("dvc")):
        raise lack
    arguments = ("status", "--json", "--with-deps", stage)
    process = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", *arguments],
        cwd=root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    try:
        stages = json.loads(process.stdout) if not process.returncode else None
    except ValueError:
        stages = None
    if not isinstance(stages, dict):
        raise ArtifactError(
            "DVC cannot list what has changed",
            found=_reason(process.stderr or process.stdout),
            fix=f"run `dvc {' '.join(arguments)}`",
        )
    return sorted(stages)


def _is_code(ignored: str) -> bool:
    """Return whether an ignored file can change results; __pycache__, for one, cannot."""
    return not ignored.startswith("src/") or ignored == "src/" or ignored.endswith(".py")


def _git(root: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["git", "--no-optional-locks", "-C", str(root), *arguments],
        env=os.environ | {"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def _require_success(process: "subprocess.CompletedProcess[bytes]") -> bytes:
    if process.returncode:
        raise ArtifactError(
            "git cannot list the changes since the last commit",
            found=_reason(process.stderr),
            fix=f"run `git {' '.join(process.args[4:])}`",
        )
    return process.stdout


def _reason(output: bytes) -> str:
    """Return the line with the error: hints and addresses may follow it."""
    lines = os.fsdecode(output).strip().splitlines()
    errors = [line for line in lines if line.lower().startswith(("error:", "fatal:"))]
    return (errors or lines or ["no message"])[-1]
