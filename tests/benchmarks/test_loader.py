from pathlib import Path

import numpy as np
import pytest

from benchmarks import loader
from darkroom.images import codec


@pytest.mark.slow
def test_it_runs_on_drawn_pictures_and_prints_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loader.main(["--quick", "--data", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "4 pictures (drawn: no train.zip in" in printed
    for name in ("usual data set", "jpeg shards", "bare JPEG decode", "raw shards", "bare copy"):
        assert f"| {name} | " in printed


def test_ratios_are_to_the_baseline_and_the_limit() -> None:
    rates = {
        "usual data set": 20.0,
        "jpeg shards": 500.0,
        "bare JPEG decode": 625.0,
        "raw shards": 4000.0,
        "bare copy": 5000.0,
    }
    table = loader.report(rates)
    assert "| jpeg shards | 500.0 | 25.0x | 25x | 80% |" in table
    assert "| raw shards | 4,000.0 | 200.0x | 200x | 80% |" in table


def test_the_usual_data_set_gives_what_training_wants(tmp_path: Path) -> None:
    pictures = loader.drawn_pictures(1)
    image, mask = loader.UsualDataset(loader.unpack(pictures, tmp_path))[0]
    assert image.shape == (3, 640, 959)
    assert 0 <= float(image.min()) < float(image.max()) <= 1
    assert set(mask.flatten().tolist()) == {0, 1}
    drawn, _ = codec.decode_mask(pictures[0].mask)
    assert abs(float(mask.float().mean()) - float(np.mean(drawn))) < 1e-3
