import argparse
import json
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.harness import Goal, Report, Table


def test_turns_count_items_a_second_of_every_round_but_the_first() -> None:
    calls: list[str] = []

    def work(name: str, count: int) -> int:
        calls.append(name)
        sum(range(20_000))
        return count

    rates = harness.take_turns({"a": lambda: work("a", 10), "b": lambda: work("b", 1000)}, 2)
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert rates["b"].wall > 10 * rates["a"].wall > 0
    assert rates["b"].cpu > 10 * rates["a"].cpu > 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1234.5, "1,234"), (27.46, "27.5"), (1.234, "1.23"), (0.0346, "0.035"), (12345, "12,345")],
)
def test_numbers_have_three_digits_that_count(value: float, expected: str) -> None:
    assert harness.text(value) == expected


def test_a_report_says_which_goals_are_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(
        "Reading",
        [Table(["", "img/s"], [["ours", 50.0], ["limit", None]], title="stored")],
        [Goal("ours against the usual", 5.0, 4.0), Goal("peak", 310, 300, False, " MB")],
        ["one thread"],
    )
    report.finish(argparse.Namespace(json=tmp_path / "out.json"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Reading"
    assert "stored:" in lines
    assert "| ours | 50.0 |" in lines
    assert "| limit |  |" in lines
    assert "| ours against the usual | 5.00x | at least 4.00x | met |" in lines
    assert "| peak | 310 MB | at most 300 MB | missed |" in lines
    assert lines[-1] == "one thread"
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["tables"][0]["rows"] == [
        {"": "ours", "img/s": 50.0},
        {"": "limit", "img/s": None},
    ]
    assert [goal["met"] for goal in content["goals"]] == [True, False]


def test_a_process_costs_what_it_used(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(
        "import sys, time\n"
        "block = bytearray(60_000_000)\n"
        "start = time.process_time()\n"
        "while time.process_time() - start < float(sys.argv[1]): pass\n"
    )
    usage = harness.run_module("task", "0.1", folder=tmp_path)
    assert 0.1 <= usage.cpu_s < 1
    assert 60 < usage.main_mb < 120
    assert usage.worker_mb == 0


def test_a_process_that_fails_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text("print('why'); raise SystemExit(3)\n")
    with pytest.raises(SystemExit, match=r"task now failed: see .*log"):
        harness.run_module("task", "now", folder=tmp_path, log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "why\n"
