from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import preprocess
from benchmarks.scale import pictures
from darkroom.images import codec


def gif(mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> bytes:
    data = BytesIO()
    Image.fromarray(mask, "P").save(data, "GIF")
    return data.getvalue()


def test_rates_are_of_the_median_round() -> None:
    costs = {1: [(4.0, 8.0), (2.0, 4.0), (9.0, 9.0)], 2: [(4.0, 4.0)]}
    rates = {"Pillow (usual)": 5.0, "cv2": 20.0}
    table, goals = preprocess.tabulate("cars", 100, costs, rates)
    assert table.rows[2:] == [
        ["Darkroom, 1 cores", 25.0, 12.5, 5.0],
        ["Darkroom, 2 cores", 25.0, 25.0, 5.0],
    ]
    assert [(goal.measured, goal.is_met) for goal in goals] == [
        (5.0, True),
        (1.25, True),
        (2.0, True),
    ]


@pytest.mark.filterwarnings("ignore:The image decoding")  # torchvision's, of its own
@pytest.mark.parametrize("name", preprocess.SCRIPTS)
def test_a_script_stores_picture_and_mask_at_the_size(name: str, tmp_path: Path) -> None:
    (jpeg,) = pictures(1, 64, 96)
    mask = np.zeros((64, 96), np.uint8)
    mask[:32] = 1
    preprocess.SCRIPTS[name](jpeg, gif(mask), (16, 24), tmp_path / "a.jpg")
    stored = codec.decode_image((tmp_path / "a.jpg").read_bytes())
    whole = codec.decode_image(jpeg)
    assert stored.shape == (16, 24, 3)
    assert np.abs(stored.mean(axis=(0, 1)) - whole.mean(axis=(0, 1))).max() < 3
    assert np.asarray(Image.open(tmp_path / "a.png"))[[0, -1], 0].tolist() == [1, 0]


@pytest.mark.slow
def test_the_stage_is_measured_on_one_core(tmp_path: Path) -> None:
    case = preprocess.Case("faces", list(pictures(4, 64, 64)), [], (16, 16), (8, 16))
    preprocess.make_project(case, 8, tmp_path / "project")
    assert preprocess.stage(tmp_path / "project", 1).cpu_s > 0.1
    assert (tmp_path / "project/data/processed/scale/train-00000.arrow").is_file()
