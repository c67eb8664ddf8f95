from pathlib import Path

import numpy as np
import pytest

from benchmarks import loader_augmented
from benchmarks.harness import Rate


def test_the_goal_is_a_share_of_the_faster_library() -> None:
    rates = {
        "Darkroom": Rate(1.0, 190.0),
        "albumentations alone": Rate(1.0, 200.0),
        "torchvision alone": Rate(1.0, 50.0),
    }
    result = loader_augmented.tabulate({"light": rates})
    assert result.tables[0].rows == [["light", 190.0, 200.0, 50.0, 0.95]]
    assert result.goals[0].is_met


@pytest.mark.parametrize("preset", ["flip", "light", "strong"])
def test_both_libraries_change_pictures_and_masks(preset: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)
    scenes = [(picture, np.zeros((32, 48), np.uint8)), (picture, None)]
    assert loader_augmented.albumentations_alone(preset, scenes) == 2
    assert loader_augmented.torchvision_alone(preset, scenes) == 2


@pytest.mark.slow
def test_it_runs_on_drawn_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path)
    loader_augmented.main(["--quick", "--data", nowhere, "--faces", nowhere, "--presets", "flip"])
    printed = capsys.readouterr().out
    assert "Augmented drawn pictures" in printed
    assert "| 959x640 and mask, flip | " in printed
    assert "| faces, flip | " in printed
