"""Damaged files: refused in words, or read as if sound; never with other contents unnoticed."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.conftest import Tally
from tests.faults.seed_files import SEEDS, digest
from tests.faults.stages import Finished
from tests.faults.trials import read_all
from tests.support.mutants import mutant

COUNTS = [7, pytest.param(400, marks=pytest.mark.long)]  # of 51 files: 357 and 20,400 mutants
SOUND = "sound"  # the folder with a sound copy of the file


def read_mutant(name: str, seed: int, number: int) -> str:
    """Return a digest of what a mutant of a seed file holds; number 0 is the sound file."""
    path = Path(SEEDS[name].path)
    sound = Path(SOUND, path.name).read_bytes()
    path.write_bytes(mutant(sound, f"{seed} {name} {number}") if number else sound)
    try:
        return digest(SEEDS[name].read(path))
    finally:
        path.write_bytes(sound)


def project_with(name: str, root: Path, finished: Finished) -> Path:
    """Copy the finished project, with a sound seed file in it, twice."""
    shutil.copytree(finished.new, root)
    seed_file, path = SEEDS[name], root / SEEDS[name].path
    if seed_file.write is not None:
        path.parent.mkdir(exist_ok=True)
        seed_file.write(path)
    (root / SOUND).mkdir()
    shutil.copy(path, root / SOUND)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", SEEDS)
def test_damage_is_refused_in_words(
    finished: Finished, tmp_path: Path, tally: Tally, seed: int, name: str, count: int
) -> None:
    root = project_with(name, tmp_path / "project", finished)
    sound, *mutants = read_all(read_mutant, name, seed, root=root, count=count + 1)
    assert sound.outcome == "accepted", sound
    outcomes = Counter(
        "read as sound" if each[1:] == sound[1:] else each.outcome for each in mutants
    )
    tally("mutants of files", mutants=count, **outcomes)
    faults = [each for each in mutants if each.is_fault]
    if SEEDS[name].has_checksum:
        faults += [
            each for each in mutants if each.outcome == "accepted" and each.words != sound.words
        ]
    assert faults == [], f"{len(faults)} of {count}: {outcomes}"


def test_there_are_51_seed_files() -> None:
    assert len(SEEDS) == 51


def test_mutants_differ_from_the_file_and_depend_on_the_key_alone() -> None:
    data = b"a,1\nb,22\n" * 20
    mutants = [mutant(data, f"{key}") for key in range(300)]
    assert mutants == [mutant(data, f"{key}") for key in range(300)]
    assert data not in mutants
    assert len(set(mutants)) > 250
    assert mutant(b"", "1")
