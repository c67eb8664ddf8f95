"""A disk that is full, or fails, from the n-th call on: said in words, and nothing old is lost."""

import errno
import os
import random
import re
import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import Tally
from tests.faults.stages import STAGES, Finished, results, run_stage, words_of
from tests.support import syscalls, tiny
from tests.support.syscalls import GROWING, Call, Verdict

POINTS = [1, pytest.param(10_000, marks=pytest.mark.long)]  # of each stage, at most
CASES = [(stage, over) for stage in STAGES for over in (False, True)]
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
HALF_DONE = re.compile(r"\.darkroom/(\w+\.)*[0-9a-f]{16}")  # what the next run goes on from
MOST_WORDS = 2000  # characters of a message


class FailFrom:
    """The verdict that fails every call from one on that needs space, counted from 0."""

    def __init__(self, place: int, error: int) -> None:
        self.place, self.error, self.calls = place, error, 0

    def __call__(self, call: Call) -> Verdict:
        if call.name not in GROWING:
            return "go on"
        self.calls += 1
        return self.error if self.calls > self.place else "go on"


@pytest.mark.slow
@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize(("stage", "over"), CASES)
def test_a_failing_disk_is_said_and_costs_nothing(
    finished: Finished, tmp_path: Path, tally: Tally, seed: int, stage: str, over: bool, points: int
) -> None:
    quiet = finished.begin(tmp_path / "quiet", stage, over=over)
    calls = syscalls.run(run_stage, *words_of(stage), root=quiet).calls
    count = sum(call.name in GROWING for call in calls)
    new, old = results(finished.new, stage), results(finished.old, stage)
    rng = random.Random(f"{seed} {stage} {over}")
    for place in sorted(rng.sample(range(count), min(points, count))):
        error = ERRORS[rng.randrange(len(ERRORS))]
        root = finished.begin(tmp_path / "full", stage, over=over)
        verdict = FailFrom(place, error)
        full = syscalls.run(run_stage, *words_of(stage), root=root, verdict=verdict)
        where = f"{errno.errorcode[error]} from {place} on: {full.words}"
        assert "Traceback" not in full.words, where
        if full.code == 0:  # only the pictures of a training may be missing
            assert stage == "train", where
            assert results(root, stage) == new, where
        else:
            _is_refusal(full, stage, error, where)
            for path, data in (old if over else {}).items():
                assert _bytes(root, path) in (data, new.get(path)), f"{path}: {where}"
        left = [path for path in tiny.leftovers(root) if not HALF_DONE.fullmatch(path)]
        if not any(path.endswith(".old") for path in left):  # else no rename back was possible
            assert left == [], where
        again = syscalls.run(run_stage, *words_of(stage), root=root, verdict=None)
        assert again.code == 0, f"{where}, then {again.words}"
        assert results(root, stage) == new, where
        assert tiny.leftovers(root) == [], where
        shutil.rmtree(root)
        tally("full and failing disks", points=1)


def _bytes(root: Path, path: str) -> bytes:
    """Return a file of an old result; of its folder put aside, if no rename back was possible."""
    parent, name = (root / path).parent, Path(path).name
    aside = parent.with_name(f".{parent.name}.old")
    return (aside if not parent.exists() else parent).joinpath(name).read_bytes()


def _is_refusal(full: syscalls.Outcome, stage: str, error: int, where: str) -> None:
    """Assert the exit code, the cause, the file, and what to do."""
    assert full.code == 5, where
    command = f"darkroom {' '.join(words_of(stage)[:2])}: "
    assert command in full.words, where
    assert os.strerror(error) in full.words, where
    assert len(full.words) < MOST_WORDS, where
    place = full.words.split(command)[1].splitlines()[0]
    assert "/" in place, f"the file is not named: {where}"
    if error in (errno.ENOSPC, errno.EDQUOT):
        assert "to do: " in full.words, where
