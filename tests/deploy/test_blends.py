"""A blend's networks on new pictures and hidden test sets: the rows of the stage `blend`."""

import copy
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.cli.main import main
from darkroom.prediction.predictions import Predictions
from tests.deploy.conftest import VERBS
from tests.deploy.test_pictures import rows
from tests.deploy.test_test_set import hidden
from tests.support import tiny

BLENDED = "both"


def project(root: Path, kind: str, method: str, **sections: Any) -> None:
    """Train two sections of a competition, which store pictures in unlike ways, and blend them."""
    tiny.project(root, kind, train={"epochs": 1}, **sections)

    def change(params: dict[str, Any]) -> None:
        other = copy.deepcopy(params[tiny.NAME])
        other["preprocess"] |= {"height": 40, "width": 48, "store": "jpeg"}
        if kind != "masks":  # which all members fit alike
            other["preprocess"]["fit"] = "crop"
        other["predict"] |= {"batch_size": 3, "tta": ["vflip"]}
        other["train"]["lr"] = 0.03
        params |= {
            "folds": [0, 1],
            "competitions": [tiny.NAME, "other"],
            "other": other,
            "blends": [{"name": BLENDED, "members": [tiny.NAME, "other"], "method": method}],
        }

    tiny.edit(root, change)
    for verb in VERBS:
        for name in (tiny.NAME, "other"):
            for extra in tiny.folds_of(verb):
                if verb not in ("evaluate", "submission"):
                    assert main([verb, name, *extra]) == 0
    assert main(["blend", BLENDED]) == 0


@pytest.mark.slow  # two trainings of two folds each
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("masks", "mean"),
        ("multiclass", "stack"),
        ("binary", "rank"),
        ("multilabel", "stack"),
        pytest.param("regression", "stack", marks=pytest.mark.long),
        pytest.param("regression", "greedy", marks=pytest.mark.long),
    ],
)
def test_the_rows_are_those_of_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, method: str
) -> None:
    monkeypatch.chdir(tmp_path)
    own = {"binary": {"metric": "roc_auc"}}.get(kind, {})
    project(tmp_path, kind, method, data=own)
    expected = (tmp_path / f"submissions/{BLENDED}.csv.gz").read_bytes()
    blended = [Predictions(tmp_path / f"data/blends/both/test/fold{k}.arrow") for k in (0, 1)]
    ids = [name for batch in blended[0] for name in batch.ids]
    values = [np.concatenate([some.probabilities for some in each]) for each in blended]
    assert all(value.std() > 0 for value in values)
    for name in ("0", "1"):
        (tmp_path / f"data/blends/both/test/fold{name}.arrow").unlink()
    hidden(tmp_path, "test.csv", "test.zip")
    assert main(["predict", BLENDED, "--raw", "hidden", "--out", "a.csv"]) == 0
    assert (tmp_path / "a.csv").read_bytes() == gzip.decompress(expected)
    out = "masks" if kind == "masks" else "new.csv"
    assert main(["predict", BLENDED, "--images", "hidden/test.zip", "--out", out]) == 0
    if kind == "masks":
        assert len([*(tmp_path / out).iterdir()]) == 5
        return
    table = {row[0]: row for row in rows(tmp_path / out)[1:]}
    mean = (values[0] + values[1]) / np.float32(2)
    for name, value in zip(ids, mean, strict=True):
        written = np.array(table[f"{name}.png"][-len(value) :], np.float32)
        np.testing.assert_array_equal(written, value)


@pytest.mark.slow  # trainings
def test_mixes_of_other_networks_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    project(tmp_path, "binary", "mean")
    command = ["predict", BLENDED, "--raw", "source", "--out", "a.csv"]
    assert main([*command, "--fold", "0"]) == 6
    assert "to do: leave --fold out" in capsys.readouterr().err
    tiny.edit(tmp_path, lambda params: params["other"]["train"].update(lr=0.04))
    assert main(["train", "other", "--fold", "1"]) == 0
    assert main(command) == 6
    message = capsys.readouterr().err
    assert "the blend was fitted to the predictions of other networks than these" in message
    assert "to do: run `dvc repro blend`" in message
    (tmp_path / "data/blends/both/mixes.json").unlink()
    assert main(command) == 6
    assert "mixes.json: it is not there" in capsys.readouterr().err
