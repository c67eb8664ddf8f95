"""The decision goes from evaluate to predict unchanged, or not at all."""

import json
from pathlib import Path

import pytest

from darkroom.errors import ArtifactError
from darkroom.params.competition import Evaluate
from darkroom.prediction import decision
from darkroom.prediction.predict import How
from darkroom.prediction.tiles import Tiles

WRITTEN = {"threshold": 0.25, "tta": ["hflip"], "scales": [1.0], "tiles": None}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    how = How(("hflip", "vflip"), (0.75, 1.0), Tiles(64, 96, 0.25))
    decision.write(tmp_path / "decision.json", 0.25, how)
    assert decision.read(tmp_path / "decision.json", "cars") == decision.Decision(0.25, how)


def test_the_section_says_how() -> None:
    section = Evaluate.model_validate(
        {"tta": ["hflip"], "scales": [0.5, 1], "tiles": {"height": 64, "width": 32}}
    )
    assert decision.how(section) == How(("hflip",), (0.5, 1.0), Tiles(64, 32, 0.25))
    assert decision.how(Evaluate.model_validate({})) == How()


def test_a_task_without_a_threshold_takes_one_half(tmp_path: Path) -> None:
    decision.write(tmp_path / "decision.json", None, How())
    assert decision.read(tmp_path / "decision.json", "notes").threshold == 0.5


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
        decision.read(tmp_path / "decision.json", "cars")
    assert "it holds no decision that predict could follow" in str(caught.value)
    assert "run `dvc repro -sf evaluate@cars`" in str(caught.value)
