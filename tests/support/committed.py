"""Projects in git."""

import subprocess
from pathlib import Path


def git(root: Path, *words: str) -> str:
    """Run git as somebody, and return what it prints."""
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    command = ["git", *who, *words]
    done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def commit(root: Path) -> str:
    """Commit all of a project, and return the commit."""
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "x")
    return git(root, "rev-parse", "HEAD")
