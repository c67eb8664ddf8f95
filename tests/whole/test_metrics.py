"""Whole projects under metrics other than the usual one: what learns, decides and is shown."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from darkroom.cli.main import main
from tests.support import tiny

pytestmark = pytest.mark.slow

VERBS = (
    *("fetch", "index", "split", "preprocess", "fold"),
    *("train", "predict", "evaluate", "submission", "check"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scores(folder: Path) -> dict[str, Any]:
    text = (folder / "reports/tiny/metrics.json").read_text()
    validation: dict[str, Any] = json.loads(text)["validation"]
    return validation


def history(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "reports/tiny/history/fold0.csv")


def test_a_metric_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "metrics/mine.py:score"
    tiny.project(folder, "binary", data={"metric": name}, train={"epochs": 2})
    tiny.put(
        folder / "metrics/mine.py",
        'BEST = "min"\nWRITES = "probabilities"\n\n\n'
        "def score(truth, predictions):\n    return ((truth - predictions) ** 2).mean()\n",
    )
    tiny.run(*VERBS)
    assert list(scores(folder))[:2] == [name, f"baseline_{name}"]
    rows = history(folder)
    assert list(rows)[:2] == ["epoch", f"{name}/val"]
    model = json.loads((folder / "models/tiny/fold0/model.json").read_text())
    assert model["metrics"][f"{name}/val"] == rows[f"{name}/val"].min()
    digest = json.loads((folder / "data/start/tiny/fold0/fold.json").read_text())["metric_sha256"]
    assert len(digest) == 64
    (facts,) = (folder / "submissions").rglob("*.json")
    before = json.loads(facts.read_text())["fingerprint"]
    with (folder / "metrics/mine.py").open("a") as file:
        file.write("# of probabilities\n")
    tiny.run("submission")
    assert json.loads(facts.read_text())["fingerprint"] != before, "its half-done rows are others"
    capsys.readouterr()
    tiny.put(folder / "metrics/mine.py", "def score(truth, predictions):\n    return 1 / 0\n")
    assert main(["train", "tiny", "--fold", "0"]) == 2
    assert "metrics/mine.py, row 2: data.metric: the function failed" in capsys.readouterr().err


def test_labels_with_gaps_and_a_threshold_each(folder: Path) -> None:
    tiny.project(
        folder,
        "multilabel",
        data={"metric": "macro_f1"},
        train={"class_weights": "balanced", "mixup": 0.2},
    )
    table = folder / "source/train.csv"
    lines = table.read_text().splitlines()
    lines[3] = lines[3].rsplit(",", 1)[0] + ","  # one label of an image
    lines[6] = ",".join([*lines[6].split(",")[:2], "", ""])  # all of another
    tiny.put(table, "\n".join([*lines, ""]))
    tiny.run(*VERBS)
    found = scores(folder)
    assert list(found)[:2] == ["macro_f1", "baseline_macro_f1"]
    assert "macro_f1_cross_fitted" in found
    assert history(folder).notna().all(axis=None)
    decision = json.loads((folder / "reports/tiny/decision.json").read_text())
    assert decision["threshold"] != 0.5


def test_grades_learned_as_a_number(folder: Path) -> None:
    tiny.project(folder, "regression", data={"metric": "quadratic_kappa"}, train={"epochs": 4})
    table = folder / "source/train.csv"
    rows = pd.read_csv(table, dtype=str).drop(columns="height")
    rows["depth"] = [f"{2 * float(depth):.0f}" for depth in rows["depth"]]
    tiny.put(table, rows.to_csv(index=False))
    tiny.edit(
        folder,
        lambda params: params["tiny"]["data"].update(
            header=["image", "depth"],
            train=params["tiny"]["data"]["train"] | {"targets": ["depth"]},
        ),
    )
    tiny.run(*VERBS)
    assert list(scores(folder))[:2] == ["quadratic_kappa", "baseline_quadratic_kappa"]
    decision = json.loads((folder / "reports/tiny/decision.json").read_text())
    assert len(decision["cuts"]) == 2
    answers = pd.read_csv(folder / "submissions/tiny.csv.gz", dtype=str)["depth"]
    assert set(answers) <= {"0", "1", "2"}
