"""The cost of an edited threshold is that of the two stages that an edit runs."""

from pathlib import Path

import pytest

from benchmarks import threshold_edit
from tests.support import tiny


@pytest.mark.slow
def test_an_edit_runs_two_stages_and_another_decision_stands_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    thresholds: list[str] = []

    def cpu_seconds(*verbs: str) -> float:  # in this process, which is quicker
        ran.extend(verbs)
        tiny.run(*verbs)
        if verbs == threshold_edit.AGAIN:
            thresholds.append(Path("reports/tiny/decision.json").read_text())
        return 2.0

    monkeypatch.setattr(threshold_edit, "cpu_seconds", cpu_seconds)
    monkeypatch.setattr(threshold_edit, "KINDS", ("multilabel",))
    threshold_edit.main(["--train", "16", "--test", "5", "--edits", "2"])
    assert ran[5:] == ["predict", *threshold_edit.AGAIN * 3]
    assert len(set(thresholds)) == 3
    assert "multilabel  edit 2.00 (least 2.00), predict 2.00: 1.00x" in capsys.readouterr().out
