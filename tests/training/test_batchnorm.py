"""Batches too small for batch norm: foreseen, or told with the parameters."""

from pathlib import Path

import pytest

from darkroom.errors import ParamsError
from darkroom.models.build import build
from darkroom.training.fit import leaves_one
from tests.support.drawn import discs
from tests.training.test_fit import train


@pytest.mark.parametrize(
    ("images", "size", "one"),
    [(9, 4, True), (8, 4, False), (10, 4, False), (1, 4, False), (5, 1, False)],
)
def test_leaves_one(images: int, size: int, one: bool) -> None:
    assert leaves_one(images, size) is one


@pytest.mark.parametrize("count", [5, 9])
def test_a_single_value_for_batch_norm_is_told_with_the_parameters(
    tmp_path: Path, count: int
) -> None:
    store = discs(tmp_path / "d", count)  # the last four validate
    net = build("unet", outputs=1, seed=1, width=2, depth=5)  # 32 px shrink to one
    with pytest.raises(ParamsError, match="batch norm needs two values or more") as caught:
        train(store, tmp_path, net, epochs=1)
    assert "got input size torch.Size([1, 64, 1, 1])" in str(caught.value)
    assert "raise train.batch_size, or preprocess.height and width, or lower model.depth" in str(
        caught.value
    )
