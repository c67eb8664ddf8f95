import pytest

from benchmarks import dvc


def test_ratios_are_of_medians_and_the_graph_has_a_limit() -> None:
    costs = {
        "a file each": [{"checkout": seconds} for seconds in (5.0, 6.0, 20.0)],
        "shards": [{"checkout": seconds} for seconds in (1.0, 1.0, 2.0)],
    }
    result = dvc.tabulate(100, costs, [1.0, 1.3, 1.5], 0.5)
    assert result.tables[0].rows == [["checkout", 6.0, 1.0, 6.0, 11.0]]
    assert [(goal.measured, goal.is_met) for goal in result.goals] == [(6.0, True), (1.3, False)]


@pytest.mark.slow
def test_both_kinds_are_recorded_and_nothing_changed(capsys: pytest.CaptureFixture[str]) -> None:
    dvc.main(["--quick"])
    printed = capsys.readouterr().out
    assert "| checkout | " in printed
    assert "| dvc repro | " in printed
