from pathlib import Path

import numpy as np
import pytest

from benchmarks import rle
from benchmarks.harness import Rate
from darkroom.images import rle as own
from darkroom.images.rle import Order


def test_the_goal_is_to_be_faster_than_the_fastest_peer() -> None:
    rates = {
        "Darkroom": Rate(1.0, 2000.0),
        "numpy": Rate(1.0, 250.0),
        "pycocotools": Rate(1.0, 1000.0),
    }
    result = rle.tabulate({"encode": {"rows": rates}})
    assert result.tables[0].rows == [["rows", 0.5, 4.0, 1.0, "2.00x"]]
    assert [goal.is_met for goal in result.goals] == [True]
    assert "against pycocotools" in result.goals[0].what
    assert not result.notes


def test_a_peer_that_is_absent_is_named() -> None:
    rates = {"Darkroom": Rate(1.0, 100.0), "numpy": Rate(1.0, 200.0)}
    result = rle.tabulate({"decode": {"rows": rates}})
    assert not result.goals[0].is_met
    assert result.notes == ["pycocotools is not installed: `pip install pycocotools`"]


@pytest.mark.parametrize("order", ["row", "column"])
def test_the_numpy_lines_are_right(order: Order) -> None:
    mask = np.array([[1, 1, 0], [0, 1, 1]], np.uint8)
    text = rle.numpy_text(mask, order)
    assert text == own.encode(mask, order) == {"row": "1 2 5 2", "column": "1 1 3 2 6 1"}[order]
    assert rle.numpy_mask(text, 2, 3, order).tolist() == mask.tolist()


def test_it_runs_on_drawn_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rle.main(["--quick", "--data", str(tmp_path), "--json", str(tmp_path / "x.json")])
    printed = capsys.readouterr().out
    assert "Run lengths of drawn masks" in printed
    assert "| 1918x1280, 4 classes, down columns | " in printed
    assert (tmp_path / "x.json").is_file()
