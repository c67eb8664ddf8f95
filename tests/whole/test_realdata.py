"""The whole way on real files: three competitions as they ship, and a fourth by a section."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from darkroom.cli import main
from darkroom.images import rle
from tests.support import tiny
from tests.support.realdata import REALDATA, needs_realdata

ROOT = Path(__file__).parents[2]
VERBS = (
    *("fetch", "index", "split", "preprocess", "audit"),
    *("train", "predict", "evaluate", "submission", "check"),
)

pytestmark = [pytest.mark.slow, needs_realdata]


def _example() -> dict[str, Any]:
    """Return the README's own competition."""
    text = (ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0]
    params: dict[str, Any] = yaml.safe_load(text)
    return params


def _run(place: Path, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Run every verb on the real files, with few epochs; return the scores."""
    section = params[name]
    section["data"]["source"] = str(REALDATA / name)
    section["preprocess"] |= {"height": 64, "width": 96}
    section["train"]["epochs"] = 3
    params |= {"competitions": [name]}
    (place / "params.yaml").write_text(yaml.safe_dump(params))
    for verb in VERBS:
        assert main.main([verb, name]) == 0, verb
    assert tiny.leftovers(place) == []
    scores: dict[str, Any] = json.loads((place / f"reports/{name}/metrics.json").read_text())
    return scores


def _rows(place: Path, name: str) -> list[list[str]]:
    with gzip.open(place / f"submissions/{name}.csv.gz", "rt") as lines:
        return [line.rstrip("\n").split(",") for line in lines]


@pytest.mark.parametrize("name", ["carvana", "celeba", "banknotes"])
def test_the_competitions_that_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    scores = _run(tmp_path, name, yaml.safe_load((ROOT / "params.yaml").read_text()))
    rows = _rows(tmp_path, name)
    if name == "carvana":
        assert rows[0] == ["img", "rle_mask"]
        assert [row[0] for row in rows[1:]] == [f"0789bed99cb8_{v:02}.jpg" for v in range(1, 17)]
        assert scores["validation"]["dice"] > 0.5
        assert 0.5 < scores["validation"]["baseline_mean_mask"] < 0.95
    elif name == "celeba":
        assert (len(rows), len(rows[0])) == (11, 41)
        assert {value for row in rows[1:] for value in row[1:]} <= {"-1", "1"}
        rest = json.loads((tmp_path / f"reports/{name}/test_evaluation.json").read_text())
        assert rest["images"] == 10
    else:
        assert rows[0] == ["id", "class"]
        assert [row[0] for row in rows[1:]] == [f"{n}.jpeg" for n in range(70)]
        audit = json.loads((tmp_path / "reports/banknotes/audit.json").read_text())
        assert audit["size_shortcut"]["accuracy"] == 1.0


@pytest.mark.parametrize("masks", ["files", "run lengths"])
def test_nuclei_need_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: str) -> None:
    params = _example()
    if masks == "run lengths":
        params["nuclei"]["data"]["train"] = {
            "table": "train_masks_column_major.csv",
            "image": "train.zip/train/{img}",
            "rle": "rle_mask",
        }
    monkeypatch.chdir(tmp_path)
    scores = _run(tmp_path, "nuclei", params)
    assert scores["validation"]["dice"] > 0.2
    rows = _rows(tmp_path, "nuclei")
    assert (len(rows), rows[0]) == (40, ["img", "rle_mask"])
    mask = rle.decode(rows[1][1], 256, 256, "column")
    assert 0 < np.count_nonzero(mask) < mask.size
