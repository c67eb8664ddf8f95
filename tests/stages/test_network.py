"""The network of a fold: the section `predict`, as the test-time augmentation it asks for."""

from darkroom.params.evaluate import Predict
from darkroom.prediction.networks.tiles import Tiles
from darkroom.prediction.networks.tta import TTA
from darkroom.stages._network import tta_of


def test_the_section_becomes_test_time_augmentation() -> None:
    section = Predict.model_validate(
        {"tta": ["hflip"], "scales": [0.5, 1], "tiles": {"height": 64, "width": 32}}
    )
    assert tta_of(section) == TTA(("hflip",), (0.5, 1.0), Tiles(64, 32, 0.25))
    assert tta_of(Predict.model_validate({})) == TTA()
