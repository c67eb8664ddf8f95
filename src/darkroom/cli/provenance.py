"""Where a result comes from: the commit of git, and whether DVC would make the same again."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from darkroom.errors import ArtifactError

TRACKED = ("params.yaml", "dvc.yaml", "dvc.lock", "src")
_IGNORED = "!!"  # of git's short status


@dataclass(frozen=True)
class Commit:
    """A commit, and what differs from it.

    Attributes:
        sha: 40 hexadecimal digits (64 in a repository of SHA-256).
        changed: Those of params.yaml, dvc.yaml, dvc.lock and the files of src that are not as
            in the commit, or not in it; sorted, relative to the project.
    """

    sha: str
    changed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.sha}-dirty" if self.changed else self.sha


def commit(root: Path) -> Commit | None:
    """Return the commit that a project stands on; None without git, repository or commit.

    Args:
        root: The project's root, which may lie deep in the repository.

    Raises:
        ArtifactError: git refuses to say, or fails; with its words.
    """
    try:
        inside = _git(root, "rev-parse", "--show-prefix")
    except FileNotFoundError:  # no git
        return None
    if inside.returncode and b"not a git repository" in inside.stderr:
        return None
    prefix = os.fsdecode(_succeeded(inside)).removesuffix("\n")
    head = _git(root, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    if head.returncode == 1:
        return None
    # Ignored files too: a dvc.lock that .gitignore names is in no commit. -z: names unquoted.
    shown = ("status", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
    listed = _succeeded(_git(root, *shown, "--", *TRACKED))
    entries = [os.fsdecode(entry) for entry in listed.split(b"\0") if entry]
    changed = [(entry[:2], entry[3:].removeprefix(prefix)) for entry in entries]
    matters = sorted(name for state, name in changed if state != _IGNORED or _is_code(name))
    return Commit(_succeeded(head).decode().strip(), tuple(matters))


def lacking(root: Path) -> tuple[str, str]:
    """Return why a project has no commit, and what to do about it."""
    if shutil.which("git") is None:
        return "git is not installed", "install git"
    root = root.resolve()
    told = os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)  # git(1)
    ceilings = {Path(folder).resolve() for folder in told if folder}
    above = takewhile(lambda folder: folder not in ceilings, root.parents)
    if not any((folder / ".git").exists() for folder in (root, *above)):
        return "no git repository", 'run `git init; git add .; git commit -m "…"`'
    if _git(root, "rev-parse", "--show-prefix").returncode:
        return "a .git that git takes for no repository", "mend it or clone it anew"
    return (
        "a git repository without a commit that can be read",
        'run `git add .; git commit -m "…"` (`git fsck` tells of damage)',
    )


def outdated(root: Path, stage: str) -> list[str]:
    """Return the stages, of one and those that it depends on, that `dvc status` finds changed.

    Args:
        root: The project's root.
        stage: As DVC names it: `predict@carvana`.

    Raises:
        ArtifactError: DVC fails; with its words.
    """
    words = ("status", "--json", "--with-deps", stage)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", *words],
        cwd=root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    try:
        found = json.loads(done.stdout) if not done.returncode else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ArtifactError(
            "DVC cannot say what has changed",
            found=_reason(done.stderr or done.stdout),
            fix=f"run `dvc {' '.join(words)}`",
        )
    return sorted(found)


def _is_code(ignored: str) -> bool:
    """Return whether something that .gitignore names decides what is made: no __pycache__ does."""
    return not ignored.startswith("src/") or ignored == "src/" or ignored.endswith(".py")


def _git(root: Path, *words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["git", "--no-optional-locks", "-C", str(root), *words],
        env=os.environ | {"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def _succeeded(done: "subprocess.CompletedProcess[bytes]") -> bytes:
    if done.returncode:
        raise ArtifactError(
            "git cannot say what was changed since its last commit",
            found=_reason(done.stderr),
            fix=f"run `git {' '.join(done.args[4:])}`",
        )
    return done.stdout


def _reason(output: bytes) -> str:
    """Return the line that tells what went wrong: hints and addresses may follow it."""
    lines = os.fsdecode(output).strip().splitlines()
    told = [line for line in lines if line.lower().startswith(("error:", "fatal:"))]
    return (told or lines or ["no words"])[-1]
