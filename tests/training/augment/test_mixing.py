"""Sampling, pasting and CutMix within a training: until when, and to the same bits after a kill."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from darkroom.models.build import build_network
from darkroom.params.train import FitConfig
from darkroom.store.sampler import Foreground, Sampling, class_balanced
from darkroom.training.augment.build import build_augmentation
from darkroom.training.augment.copy_paste import CopyPaste
from darkroom.training.augment.mixup import Mixup
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult, Objective, fit
from tests.support.drawn import batches, discs
from tests.support.interrupted import Interrupt, Killed

ROWS = range(16)
CONFIG = FitConfig(epochs=3, lr=0.03, patience=9, accelerator="cpu", mix_until=0.67)


class Seen(Mixup):
    """Notes of which seeds batches were mixed."""

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        SEEDS.append(seed)
        return super().__call__(images, targets, seed)


SEEDS: list[int] = []


def train(folder: Path, sampling: Sampling, callbacks: Sequence[Callback] = ()) -> FitResult:
    store = discs(folder / "d", 20)
    learn = batches(
        store,
        rows=ROWS,
        seed=1,
        sampling=sampling,
        augment=build_augmentation("random_resized", crop=(24, 24), planes=1, erase=0.3),
        paste=CopyPaste(0.5, rows=(2, 3, 9), classes=1, epochs=CONFIG.mixed_epochs),
    )
    return fit(
        build_network("unet", outputs=1, seed=1, width=4, depth=2),
        learn,
        batches(store, rows=range(16, 20)),
        CONFIG,
        objective=Objective("segmentation"),
        mixup=Seen(cutmix=1.0, p=0.7),
        seed=1,
        work_dir=folder / "work",
        callbacks=callbacks,
    )


def digest(result: FitResult) -> str:
    values = [tensor.numpy().tobytes() for tensor in result.net.state_dict().values()]
    return hashlib.sha256(b"".join(values)).hexdigest()


@pytest.mark.parametrize(
    ("sampling", "call"),  # within the second epoch, and the third
    [(Foreground(np.arange(16) < 3), 6), (class_balanced(np.repeat([0, 1], [13, 3])), 10)],
)
def test_a_killed_training_goes_on_to_the_same_bits(
    tmp_path: Path, sampling: Sampling, call: int
) -> None:
    SEEDS.clear()
    whole = train(tmp_path / "a", sampling)
    assert len(SEEDS) == 2 * 4, "batches of the first two epochs alone"
    with pytest.raises(Killed):
        train(tmp_path / "b", sampling, [Interrupt("on_batch_end", call)])
    resumed = train(tmp_path / "b", sampling)
    assert digest(resumed) == digest(whole)
    assert resumed.history == whole.history
