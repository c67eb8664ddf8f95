from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import submission
from darkroom.images import rle


@pytest.fixture(autouse=True)
def threads() -> object:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def test_quick_run_without_real_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submission.main(["--quick", "--data", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "drawn masks" in printed
    assert "pixels differ from cv2's" in printed
    assert "[1, 1, 0, 0, 1, 1]: right '1 2 5 2', usual '3 2'" in printed
    for way in ("ours ", "usual callback", "limit: one look", "limit: compression alone"):
        assert any(line.startswith(way) for line in printed.splitlines())
    assert "size: ours is" in printed
    assert "memory: ours grew by" in printed


def test_the_baseline_finds_the_runs_of_an_inner_mask() -> None:
    mask = np.zeros((5, 7), np.uint8)
    mask[1:4, 2:5] = 1
    assert submission.usual_text(mask) == rle.encode(mask) == "10 3 17 3 24 3"


def test_drawn_masks_are_the_same_each_time() -> None:
    first, second = submission.drawn_masks(2), submission.drawn_masks(2)
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert 0.1 < first[0].mean() < 0.6
