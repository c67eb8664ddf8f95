"""Short trainings that fill TensorBoard: masks, classes and labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.models.build import build_network
from darkroom.params.train import FitConfig
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult, Objective, fit
from darkroom.training.tensorboard import callbacks
from tests.support.drawn import batches, colours, discs

IMAGES, LEARNT, EPOCHS, BATCHES = 20, 12, 3, 3
HYPERPARAMETERS: Mapping[str, object] = {"lr": 0.01, "model.name": "tiny", "ema": None}
NAMES: Mapping[str, Sequence[str]] = {
    "segmentation": (),
    "multiclass": ("five", "ten", "twenty"),
    "multilabel": ("Red", "Green"),
}


def train(
    folder: Path,
    task: str,
    *,
    events: bool = True,
    pictures: int | None = None,
    others: Sequence[Callback] = (),
) -> FitResult:
    """Train for three epochs of three batches; events go to `folder`/runs/`task`.

    Args:
        folder: Gets the pictures, the checkpoint and the events; a checkpoint there is resumed.
        task: A key of `NAMES`.
        events: Whether to write them.
        pictures: Of each kind; None: as many as usual.
        others: More callbacks.
    """
    numbers = np.arange(IMAGES) % 3
    options: dict[str, Any] = {}
    if task == "segmentation":
        store = discs(folder / "data" / task, IMAGES)
        net = build_network("unet", outputs=1, seed=1, width=4, depth=2)
    else:
        store = colours(folder / "data" / task, IMAGES)
        labels = np.stack([numbers == 0, numbers == 1], axis=1).astype(np.float32)
        options["targets"] = numbers if task == "multiclass" else labels
        outputs = len(NAMES[task])
        net = build_network("small_cnn", outputs=outputs, seed=1, width=4, depth=2, dropout=0.1)
    learn = batches(store, rows=range(LEARNT), seed=1, **options)
    validate = batches(store, rows=range(LEARNT, IMAGES), **options)
    watching = callbacks.callbacks(
        folder / "runs" / task,
        task,
        validate,
        names=NAMES[task],
        hyperparameters=HYPERPARAMETERS,
        pictures=pictures,
        worst=pictures,
    )
    return fit(
        net,
        learn,
        validate,
        FitConfig(epochs=EPOCHS, lr=0.01, accelerator="cpu"),
        objective=Objective(task),
        seed=1,
        work_dir=folder / "work" / task,
        callbacks=[*(watching if events else ()), *others],
    )
