"""The benchmark of a frozen backbone, at toy size."""

import json
from pathlib import Path

import pytest

from benchmarks import frozen
from benchmarks.frozen import Epochs


def test_both_ways_learn_the_same() -> None:
    costs, equal = frozen.measure("resnet18", side=32, images=10, batch=4, epochs=2, rounds=1)
    assert equal
    assert [len(cost.seconds) for kept in (True, False) for cost in costs[kept]] == [1, 1]
    kept, new = costs[True][0], costs[False][0]
    assert kept.before > new.before  # the features


def test_what_is_computed_once_stands_apart() -> None:
    costs = {True: [Epochs(5.0, [0.5, 0.5])], False: [Epochs(1.0, [12.0, 30.0, 10.0])]}
    report = frozen.report("title", costs, equal=True)
    assert report.tables[0].rows[1] == ["features kept", 0.5, 4.0, 24.0]
    assert [goal.is_met for goal in report.goals] == [True, True]
    assert not frozen.report("title", costs, equal=False).goals[1].is_met


@pytest.mark.slow
def test_it_writes_its_figures(tmp_path: Path) -> None:
    frozen.main(["--quick", "--json", str(tmp_path / "a.json")])
    assert len(json.loads((tmp_path / "a.json").read_text())["goals"]) == 2
