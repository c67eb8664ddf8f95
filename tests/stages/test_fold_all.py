"""Fold `all`: one more network, that learns from every training image and is never validated."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from darkroom.cli.main import main
from darkroom.models import saved
from darkroom.prediction.decision import read_decision, write_decision
from darkroom.prediction.predictions import Floats, Predictions
from darkroom.project import processes
from tests.support import tiny
from tests.support.projects import one_thread

Capture = pytest.CaptureFixture[str]
PATHS = ("metrics.json", "decision.json", "scores.csv")


def use_all(params: dict[str, Any]) -> None:
    params["folds"] = [0, 1, "all"]
    params[tiny.NAME]["train"] |= {"select": "last", "patience": None}


def probabilities_of_test() -> list[Floats]:
    """Return those of each network, (n,)."""
    files = [Path(f"data/predictions/tiny/test/fold{fold}.arrow") for fold in (0, 1, "all")]
    parts = [[batch.probabilities[:, 0] for batch in Predictions(file)] for file in files]
    return [np.concatenate(each) for each in parts]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tiny.project(
        tmp_path_factory.mktemp("all") / "project", "binary", data={"metric": "roc_auc"}
    )
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(processes, "cores", lambda: 1)
        patch.chdir(root)
        tiny.edit(root, use_all)
        tiny.run("fetch", "index", "split", "fold", "preprocess")
        tiny.run("train", "predict", "evaluate", "submission", "check")
        yield root


def test_it_learns_from_every_image_and_validates_none(whole: Path) -> None:
    counts = [
        json.loads(Path(f"data/start/tiny/fold{k}/fold.json").read_text()) for k in (0, "all")
    ]
    assert [(each["train"], each["validate"]) for each in counts] == [(8, 8), (16, 0)]
    sizes = {k: len(saved.read_images(Path(f"models/tiny/fold{k}"))[0]) for k in (0, 1, "all")}
    assert sizes == {0: 8, 1: 8, "all": 16}
    history = pd.read_csv("reports/tiny/history/foldall.csv")
    assert not history.filter(like="/val").shape[1]
    assert {"epoch", "loss/train", "learning rate"} <= set(history)
    model = saved.load_model(Path("models/tiny/foldall"))[1]
    assert model["fold"] == "all"
    # The oldest pandas reads a number to its last digit but one.
    assert model["metrics"] == pytest.approx(history.iloc[-1].to_dict(), rel=1e-14)


def test_it_predicts_nothing_to_be_scored(whole: Path) -> None:
    valid = Predictions(Path("data/predictions/tiny/valid/foldall.arrow"))
    assert (valid.header.rows, valid.are_of([]), list(valid)) == (0, True, [])
    scores = pd.read_csv("reports/tiny/scores.csv")
    assert len(scores) == 16
    before = {name: Path("reports/tiny", name).read_bytes() for name in PATHS}
    path = valid.path.rename("aside")  # nor is it missed
    tiny.run("evaluate")
    assert {name: Path("reports/tiny", name).read_bytes() for name in PATHS} == before
    path.rename(valid.path)
    tiny.edit(whole, lambda params: params.update(folds=[0, 1]))
    tiny.run("evaluate")
    assert {name: Path("reports/tiny", name).read_bytes() for name in PATHS} == before
    tiny.edit(whole, use_all)


def test_it_counts_for_the_submission(whole: Path, capsys: Capture) -> None:
    rows = pd.read_csv("submissions/tiny.csv.gz")
    assert rows.iloc[:, 1].to_numpy() == pytest.approx(np.mean(probabilities_of_test(), axis=0))
    assert json.loads(Path("submissions/tiny.json").read_text())["folds"] == [0, 1, "all"]
    Path("data/predictions/tiny/test/foldall.arrow").rename("aside")
    assert main(["submission", "tiny"]) != 0
    assert "dvc repro -s predict@tiny-all-test" in capsys.readouterr().err
    Path("aside").rename("data/predictions/tiny/test/foldall.arrow")


def test_each_network_has_the_temperature_of_the_decision(whole: Path) -> None:
    file = Path("reports/tiny/decision.json")
    before = file.read_bytes()
    write_decision(file, replace(read_decision(file, "tiny", "binary"), temperature=2.0))
    tiny.run("submission", "check")
    rows = pd.read_csv("submissions/tiny.csv.gz")
    odds = [np.sqrt(p / (1 - p)) for p in probabilities_of_test()]  # of logit p / 2
    assert rows.iloc[:, 1].to_numpy() == pytest.approx(np.mean([o / (1 + o) for o in odds], axis=0))
    file.write_bytes(before)


def test_another_word_is_no_fold(whole: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["train", "tiny", "--fold", "every"])
    assert "found 'every', expected a number or `all`" in capsys.readouterr().err
