"""Ways to spoil a sound project, and what must be true of every refusal."""

import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.cli.main import main
from tests.support import tiny
from tests.support.packed import zip_of

Damage = Callable[[Path], object]
Project = Callable[[str], Path]

HTML = b"<!DOCTYPE html><html><body>Please sign in</body></html>\n"
PAPER = np.zeros((20, 20), np.uint8)
VALUES = np.resize(np.array([0, 7, 200], np.uint8), (40, 48))


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        name: What the test is called.
        damage: Done to a sound project.
        verb: The verb that must refuse it.
        code: With this exit code.
        words: Among its words on stderr.
        first: The verb to begin with; those in between must end well.
        kind: Of the project.
    """

    name: str
    damage: Damage
    verb: str
    code: int
    words: tuple[str, ...]
    first: str = "fetch"
    kind: str = "masks"


def refused(
    root: Path, verb: str, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> tuple[int, str]:
    """Return exit code and words of a verb that must fail and leave everything as it was."""
    before = tiny.tree(root)
    capfd.readouterr()
    code = main([verb, *arguments])
    words = capfd.readouterr().err
    assert f"darkroom {verb} " in words, "the stage is named"
    assert "Traceback" not in words
    assert tiny.tree(root) == before, "what stood before is untouched"
    half_done = re.compile(r"\.darkroom/(\w+\.)*[0-9a-f]{16}")  # what a training goes on from
    left = [path for path in tiny.leftovers(root) if not half_done.fullmatch(path)]
    assert left == []
    return code, words


def check_case(case: Case, project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    root = project(case.kind)
    case.damage(root)
    order = tiny.VERBS
    tiny.run(*order[order.index(case.first) : order.index(case.verb)])
    code, words = refused(root, case.verb, capfd, [tiny.NAME])
    for each in case.words:
        assert each in words
    assert code == case.code


def parametrize(*cases: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def remove(name: str) -> Damage:
    """Take a file or folder away."""

    def damage(root: Path) -> None:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def rename(old: str, new: str) -> Damage:
    return lambda root: (root / old).rename(root / new)


def put(name: str, data: bytes | str) -> Damage:
    """Put other contents under a name."""
    return lambda root: tiny.put(root / name, data)


def replace(name: str, old: str, new: str) -> Damage:
    """Replace the first of some text in a file."""

    def damage(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        tiny.put(root / name, text.replace(old, new, 1))

    return damage


def cut(name: str) -> Damage:
    """Keep the first half of a file."""

    def damage(root: Path) -> None:
        data = (root / name).read_bytes()
        tiny.put(root / name, data[: len(data) // 2])

    return damage


def flip(name: str) -> Damage:
    """Change one byte of a file."""

    def damage(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[len(data) * 3 // 4] ^= 0xFF
        tiny.put(root / name, bytes(data))

    return damage


def contents(root: Path, archive: str) -> tiny.Files:
    """Return the members of a raw zip."""
    with zipfile.ZipFile(root / "source" / archive) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def members(archive: str, changes: dict[str, bytes | None]) -> Damage:
    """Pack a raw zip again with some members changed, added, or (None) left out."""

    def damage(root: Path) -> None:
        files = contents(root, archive) | changes
        (root / "source" / archive).unlink()
        remaining = {name: data for name, data in files.items() if data is not None}
        zip_of(root / "source" / archive, remaining)

    return damage


def edited(change: Callable[[tiny.Params], object]) -> Damage:
    """Change the parameters."""
    return lambda root: tiny.edit(root, change)


def params(section: str, **changes: Any) -> Damage:
    """Change keys of a section; a dictionary changes keys one level deeper."""

    def change(all_params: tiny.Params) -> None:
        keys = all_params[tiny.NAME][section]
        for key, value in changes.items():
            keys[key] = keys[key] | value if isinstance(value, dict) else value

    return edited(change)
