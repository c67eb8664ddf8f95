from pathlib import Path

import pytest

from benchmarks import evaluate_predict
from benchmarks.harness import Rate


def test_the_rest_is_what_stages_add_to_the_network() -> None:
    rates = {
        "network alone": Rate(10.0, 5.0),
        "predict": Rate(8.0, 4.0),
        "evaluate": Rate(200.0, 50.0),
        "submission": Rate(1000.0, 500.0),
    }
    result = evaluate_predict.tabulate({"a": rates, "b": rates}, "a")
    assert [table.title for table in result.tables] == ["a", "b"]
    assert result.tables[0].rows == [
        ["network alone", 100.0, 200.0, None, None],
        ["predict", 125.0, 250.0, "+25.0%", "+25.0%"],
        ["evaluate", 5.0, 20.0, "+5.0%", "+10.0%"],
        ["submission", 1.0, 2.0, "+1.0%", "+1.0%"],
    ]
    assert [goal.is_met for goal in result.goals] == [False, True]


@pytest.mark.slow
def test_it_runs_on_drawn_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_predict.main(["--quick", "--data", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "2 drawn pictures" in printed
    assert "| evaluate | " in printed
