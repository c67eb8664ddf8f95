"""The whole way on tiny drawn data: every verb in this process, each of the five tasks."""

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from darkroom.cli.main import main
from darkroom.images import rle
from tests.support import tiny

IDS = ["t4", "t3", "t2", "t1", "t0"]
BASELINES = {
    "segmentation": {
        "baseline_all_background",
        "baseline_all_foreground",
        "baseline_mean_mask",
        "dice",
        "dice_at_half",
        "dice_lowest",
        "dice_median",
    },
    "multilabel": {
        "accuracy",
        "attributes",
        "baseline_accuracy",
        "baseline_macro_f1",
        "baseline_mean_average_precision",
        "macro_f1",
        "macro_f1_of",
        "mean_average_precision",
        "mean_average_precision_of",
    },
    "multiclass": {
        "accuracy",
        "baseline_accuracy",
        "baseline_macro_f1",
        "log_loss",
        "macro_f1",
    },
    "binary": {
        "accuracy",
        "average_precision",
        "baseline_accuracy",
        "baseline_average_precision",
        "baseline_f1",
        "f1",
        "roc_auc",
    },
    "regression": {
        "baseline_mae",
        "baseline_r2",
        "baseline_rmse",
        "mae",
        "r2",
        "r2_of",
        "rmse",
        "targets",
    },
}
SCORES = {
    "segmentation": {"dice", "baseline_mean_mask"},
    "multilabel": {"accuracy", "baseline_accuracy", "macro_f1", "mean_average_precision"},
    "multiclass": {"accuracy", "baseline_accuracy", "log_loss", "macro_f1"},
    "binary": {"accuracy", "average_precision", "baseline_accuracy", "f1", "roc_auc"},
    "regression": {"baseline_rmse", "mae", "r2", "rmse"},
}
CURVES = {
    "segmentation": ["threshold.csv"],
    "multilabel": ["attributes.csv", "threshold.csv"],
    "multiclass": ["classes.csv", "confusion.csv"],
    "binary": ["confusion.csv", "threshold.csv"],
    "regression": ["scatter.csv", "targets.csv"],
}
HEADERS = {
    "masks": ["image", "rle"],
    "runs": ["image", "rle"],
    "multilabel": ["image", "green", "warm"],
    "multiclass": ["image", "fruit"],
    "binary": ["image", "green"],
    "regression": ["image", "depth", "height"],
}
TARGETS = {
    "multilabel": ["green", "warm"],
    "multiclass": ["fruit"],
    "binary": ["green"],
    "regression": ["depth", "height_target"],  # facts of an image have a height of their own
}
WITHOUT_THRESHOLD = ("multiclass", "regression")


def submitted(root: Path) -> list[list[str]]:
    text = gzip.decompress((root / "submissions/tiny.csv.gz").read_bytes()).decode()
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize(
    "kind",
    [
        "runs",
        "multiclass",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("masks", *tiny.KINDS[-2:])),
        pytest.param("multilabel", marks=pytest.mark.slow),
    ],
)
def test_every_verb_of_every_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    root = tiny.project(tmp_path / kind, kind)
    if kind == "binary":
        tiny.edit(root, lambda params: params[tiny.NAME].update(model={"name": "resnet18"}))
    monkeypatch.chdir(root)
    tiny.run(*tiny.VERBS)
    output = capfd.readouterr()
    task = tiny.TASKS.get(kind, kind)
    assert f"tiny: {task}, 16 training and 5 test images" in output.out
    assert "submissions/tiny.csv.gz: valid: 5 rows, every id once" in output.out
    assert "Traceback" not in output.err
    assert tiny.leftovers(root) == []

    rows = submitted(root)
    assert rows[0] == HEADERS[kind]
    assert [row[0] for row in rows[1:]] == IDS
    _check_values(kind, [row[1:] for row in rows[1:]])
    _check_reports(root, kind, task)
    _check_models(root, kind, task)

    assert main(["summary"]) == 0
    summary = capfd.readouterr().out
    assert "  submission  submissions/tiny.csv.gz\n" in summary
    assert "  checked     5 rows: valid\n" in summary


def _check_values(kind: str, cells: list[list[str]]) -> None:
    if kind in ("masks", "runs"):
        sizes = [tiny.SIZES[place % 3] for place in range(tiny.TEST)]
        masks = [
            rle.decode(text, *size, "column" if kind == "masks" else "row")
            for (text,), size in zip(cells, sizes, strict=True)
        ]
        assert sum(mask.sum() for mask in masks) > 0
    elif kind == "regression":
        values = np.array(cells, np.float32)
        assert np.isfinite(values).all()
        assert [[np.format_float_positional(v, trim="-") for v in row] for row in values] == cells
    else:
        legal = {"multilabel": {"-1", "1"}, "multiclass": {*tiny.COLOURS}, "binary": {"no", "yes"}}
        assert {cell for row in cells for cell in row} <= legal[kind]


def _check_reports(root: Path, kind: str, task: str) -> None:
    reports = root / "reports/tiny"
    alone = json.loads((reports / "metrics.json").read_text())["validation"]
    assert set(alone) == SCORES[task]
    scores = alone | json.loads((reports / "evaluation.json").read_text())["validation"]
    shared = {"images"} if task in WITHOUT_THRESHOLD else {"images", "threshold"}
    assert set(scores) == BASELINES[task] | shared
    validated = 16 if kind == "masks" else 8
    assert scores["images"] == validated
    threshold = json.loads((reports / "decision.json").read_text())["threshold"]
    assert threshold == scores.get("threshold")
    curves = sorted((reports / "curves").iterdir())
    assert len(curves) == 6, "DVC must know the names of all"
    assert [path.name for path in curves if len(pd.read_csv(path))] == CURVES[task]
    ids = pd.read_csv(reports / "scores.csv", dtype={"id": str})["id"]
    split = pd.read_csv(root / "data/start/tiny/split.csv", dtype={"id": str})
    folds = [0, 1] if kind == "masks" else [0]
    assert sorted(ids) == sorted(split.loc[split["fold"].isin(folds), "id"])
    assert json.loads((reports / "audit.json").read_text())["warnings"] == []
    for page in ("contact_sheet.jpg", "best_and_worst.jpg"):
        assert (reports / page).read_bytes()[:2] == b"\xff\xd8"


def _check_models(root: Path, kind: str, task: str) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text())
    for fold in params["folds"]:
        folder = root / f"models/tiny/fold{fold}"
        info = json.loads((folder / "model.json").read_text())
        weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        history = pd.read_csv(root / f"reports/tiny/history/fold{fold}.csv")
        assert history["epoch"].tolist() == [*range(1, params["tiny"]["train"]["epochs"] + 1)]
        assert info["model"]["name"] == params["tiny"]["model"]["name"]
        assert info["model"]["outputs"] == (
            3 if kind == "multiclass" else len(TARGETS.get(kind, [""]))
        )
        best = history[history["epoch"] == info["metrics"]["epoch"]].iloc[0].to_dict()
        assert info["metrics"] == pytest.approx(best)
        assert len(info["fingerprint"]) == 64
        described = {key: info[key] for key in ("task", "targets", "classes", "fold", "weights")}
        assert described == {
            "task": task,
            "targets": TARGETS.get(kind, []),
            "classes": ["10", "a, b", "pear"] if kind == "multiclass" else [],
            "fold": fold,
            "weights": weights,
        }
        stored = (info["height"], info["width"], info["fit"], len(info["mean"]), len(info["std"]))
        assert stored == (32, 32, "pad", 3, 3)
        assert (info["precision"], info["trained_on"]) == ("float32", "cpu")
    facts = json.loads((root / "submissions/tiny.json").read_text())
    data = (root / "submissions/tiny.csv.gz").read_bytes()
    assert facts["rows"] == 5
    assert facts["folds"] == params["folds"]
    assert (facts["sha256"], facts["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.slow
@pytest.mark.parametrize("format", tiny.FORMATS)
def test_the_real_formats_go_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    root = tiny.imitation(tmp_path, format)
    monkeypatch.chdir(root)
    tiny.run(*tiny.VERBS)
    header = {"carvana": ["img", "rle_mask"], "banknotes": ["id", "class"]}
    celeba = ["image_id", *(f"A{number}" for number in range(40))]
    assert submitted(root)[0] == header.get(format, celeba)
    assert len(submitted(root)) == 1 + {"carvana": 16, "celeba": 2, "banknotes": 14}[format]
    on_test = json.loads((root / "reports/tiny/test_metrics.json").read_text())
    assert bool(on_test) == (format != "carvana"), "scored where its labels are known"
    assert tiny.leftovers(root) == []
