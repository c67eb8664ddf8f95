"""The evaluate stage: its section of params.yaml, as the test-time augmentation it asks for."""

from darkroom.params.evaluate import Evaluate
from darkroom.prediction.networks.tiles import Tiles
from darkroom.prediction.networks.tta import TTA
from darkroom.stages import evaluate


def test_the_section_becomes_test_time_augmentation() -> None:
    section = Evaluate.model_validate(
        {"tta": ["hflip"], "scales": [0.5, 1], "tiles": {"height": 64, "width": 32}}
    )
    assert evaluate._tta(section) == TTA(("hflip",), (0.5, 1.0), Tiles(64, 32, 0.25))
    assert evaluate._tta(Evaluate.model_validate({})) == TTA()
