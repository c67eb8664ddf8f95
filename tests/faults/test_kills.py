"""Each stage killed at each call that changes a file; run again, it gives the bits of a quiet run.

Half of the kills at a write leave half of its bytes on disk.
"""

import random
import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import Tally
from tests.faults.stages import STAGES, Finished, results, run_stage, words_of
from tests.support import syscalls, tiny
from tests.support.syscalls import Call, Verdict

POINTS = [2, pytest.param(10_000, marks=pytest.mark.long)]  # of each stage, at most
WRITES = ("write", "pwrite", "writev", "ftruncate", "sendfile", "copy_file_range")
CASES = [(stage, over) for stage in STAGES for over in (False, True)]


class KillAt:
    """The verdict that kills at one call, counted from 0."""

    def __init__(self, place: int, how: Verdict) -> None:
        self.place, self.how, self.calls = place, how, 0

    def __call__(self, _: Call) -> Verdict:
        self.calls += 1
        return self.how if self.calls == self.place + 1 else "go on"


def points_of(calls: list[Call]) -> list[tuple[int, Verdict]]:
    """Return where to kill and how: before each call, and in the midst of each write."""
    before: list[tuple[int, Verdict]] = [(place, "kill") for place in range(len(calls))]
    torn: list[tuple[int, Verdict]] = [
        (place, "tear") for place, call in enumerate(calls) if call.name == "write"
    ]
    return before + torn


@pytest.mark.slow
@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize(("stage", "over"), CASES)
def test_a_kill_costs_no_bit(
    finished: Finished, tmp_path: Path, tally: Tally, seed: int, stage: str, over: bool, points: int
) -> None:
    quiet = finished.begin(tmp_path / "quiet", stage, over=over)
    outcome = syscalls.run(run_stage, *words_of(stage), root=quiet)
    assert outcome.code == 0, outcome.words
    new, old = results(finished.new, stage), results(finished.old, stage)
    assert results(quiet, stage) == new

    everywhere = points_of(outcome.calls)
    rng = random.Random(f"{seed} {stage} {over}")
    for place, how in sorted(rng.sample(everywhere, min(points, len(everywhere)))):
        root = finished.begin(tmp_path / "killed", stage, over=over)
        killed = syscalls.run(run_stage, *words_of(stage), root=root, verdict=KillAt(place, how))
        where = f"{how} {place}: {killed.calls[-1]}"
        assert killed.code == -9, f"{where}: {killed.words}"
        for path, data in results(root, stage).items():
            assert data in (new.get(path), old.get(path)), f"{where}: half written: {path}"
        again = syscalls.run(run_stage, *words_of(stage), root=root, verdict=None)
        assert again.code == 0, f"{where}: {again.words}"
        assert results(root, stage) == new, f"{where}: other bits"
        assert tiny.leftovers(root) == [], where
        shutil.rmtree(root)
        tally("kills at system calls", points=1)


def undurable(calls: list[Call]) -> list[str]:
    """Return the names that a power cut may leave without their bytes, or bring back."""
    unsafe: set[str] = set()  # files whose bytes, and folders whose names, may be lost
    wrong = []
    for call in calls:
        folder, _, name = call.path.rpartition("/")
        if call.name in WRITES:
            unsafe.add(call.path)
        elif call.name in ("fsync", "fdatasync"):
            unsafe.discard(call.path)
        elif call.name == "sync":
            unsafe.clear()
        elif call.name.startswith("rename") and not name.endswith(".old"):
            parts = (f"{call.path}.part", f"{folder}/.{name}.part/")
            wrong += [f"{path} -> {call.path}" for path in unsafe if path.startswith(parts)]
            unsafe.add(folder)
    # What the next run makes anew, pictures for people, and parts that hold their own digest.
    passing = (".lock", ".tfevents", ".parts")
    return wrong + [path for path in unsafe if not any(word in path for word in passing)]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_bytes_are_safe_before_their_name_is(
    finished: Finished, tmp_path: Path, stage: str
) -> None:
    root = finished.begin(tmp_path / "project", stage, over=True)
    outcome = syscalls.run(run_stage, *words_of(stage), root=root)
    assert any(call.name.startswith("rename") for call in outcome.calls)
    assert undurable(outcome.calls) == []


def test_names_before_bytes_are_seen() -> None:
    write, sync, rename = Call("write", "f.part"), Call("fsync", "f.part"), Call("rename", "f")
    folder = Call("fsync", "")
    assert undurable([write, sync, rename, folder]) == []
    assert undurable([write, rename, sync, folder]) == ["f.part -> f"]
    assert undurable([write, sync, rename]) == [""], "its name may be lost"
    assert undurable([write, Call("sync", "."), rename, folder]) == []
