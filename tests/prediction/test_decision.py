"""A decision is read back unchanged, or refused."""

import json
from pathlib import Path

import pytest

from darkroom.errors import ArtifactError
from darkroom.prediction.decision import Decision, read_decision, write_decision
from darkroom.prediction.tiles import Tiles
from darkroom.prediction.tta import TTA

WRITTEN = {"threshold": 0.25, "tta": ["hflip"], "scales": [1.0], "tiles": None}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tta = TTA(("hflip", "vflip"), (0.75, 1.0), Tiles(64, 96, 0.25))
    write_decision(tmp_path / "decision.json", 0.25, tta)
    assert (tmp_path / "decision.json").read_text() == (
        '{"threshold": 0.25, "tta": ["hflip", "vflip"], "scales": [0.75, 1.0], '
        '"tiles": {"height": 64, "width": 96, "overlap": 0.25}}\n'
    )
    assert read_decision(tmp_path / "decision.json", "cars") == Decision(0.25, tta)


def test_a_task_without_a_threshold_takes_one_half(tmp_path: Path) -> None:
    write_decision(tmp_path / "decision.json", None, TTA())
    assert read_decision(tmp_path / "decision.json", "notes").threshold == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        json.dumps({"threshold": 0.5}),
        json.dumps(WRITTEN | {"threshold": 1.5}),
        json.dumps(WRITTEN | {"threshold": "x"}),
        json.dumps(WRITTEN | {"tiles": {"height": 3}}),
        json.dumps(WRITTEN | {"tta": None}),
    ],
)
def test_a_damaged_decision_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "decision.json").write_text(text)
    with pytest.raises(ArtifactError) as caught:
        read_decision(tmp_path / "decision.json", "cars")
    assert "it is damaged: it holds no valid decision" in str(caught.value)
    assert "run `dvc repro -sf evaluate@cars`" in str(caught.value)
