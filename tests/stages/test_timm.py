"""A network of timm, from the raw files to a checked submission."""

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.project import processes
from tests.support import tiny
from tests.support.projects import one_thread


def use_timm(params: dict[str, Any]) -> None:
    params[tiny.NAME]["model"] = {"name": "timm", "backbone": "test_vit", "drop_path": 0.1}
    params[tiny.NAME]["preprocess"] |= {"height": 48, "width": 32}
    params[tiny.NAME]["train"] |= {"optimizer": "lion", "lr": 1e-4, "layer_decay": 0.75}


@pytest.mark.slow
def test_it_goes_through_all_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tiny.project(tmp_path / "project", "binary", data={"metric": "roc_auc"})
    monkeypatch.chdir(root)
    monkeypatch.setattr(processes, "cores", lambda: 1)
    tiny.edit(root, use_timm)
    with one_thread():
        tiny.run("fetch", "index", "split", "fold", "preprocess")
        tiny.run("train", "predict", "evaluate", "submission", "check")
    model = json.loads(Path("models/tiny/fold0/model.json").read_text())
    # Its card's, not ImageNet's; made for the stored size.
    assert (model["mean"], model["std"]) == ([0.5] * 3, [0.5] * 3)
    assert model["model"]["size"] == [48, 32]
    assert model["model"]["backbone"] == "test_vit"
    assert Path("submissions/tiny.csv.gz").exists()
