"""Layouts of competitions go the whole way, and the submission is like the sample."""

import csv
import gzip
from pathlib import Path

import pytest

from tests.support import layouts, tiny


def _rows(lines: list[str]) -> list[list[str]]:
    return list(csv.reader(lines))


@pytest.mark.slow
@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_a_submission_has_the_header_keys_and_order_of_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    root = layouts.project(tmp_path, layout)
    monkeypatch.chdir(root)
    tiny.run(*tiny.VERBS)
    with gzip.open(root / "submissions/tiny.csv.gz", "rt") as file:
        written = _rows(file.read().splitlines())
    sample = _rows((root / "source/sample_submission.csv").read_text().splitlines())
    keys = 2 if layout == "mask_classes" else 1
    assert written[0] == sample[0]
    assert [row[:keys] for row in written] == [row[:keys] for row in sample]
    cells = {cell for row in written[1:] for cell in row[keys:]}
    if layout == "folders":
        assert cells <= set(layouts.COLOURS)
    elif layout == "words":
        assert {word for cell in cells for word in cell.split()} <= set(layouts.COLOURS)
    elif layout in ("label_rows", "one_hot"):
        assert all(0 <= float(cell) <= 1 for cell in cells)
    if layout == "one_hot":
        sums = [sum(map(float, row[1:])) for row in written[1:]]
        assert sums == pytest.approx([1.0] * len(sums), abs=1e-6)
    assert tiny.leftovers(root) == []
