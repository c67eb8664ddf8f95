"""Load the trained folds of a competition, and check that they fit the images to predict."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from darkroom.errors import ArtifactError
from darkroom.index.card import Card
from darkroom.models import saved
from darkroom.models.device import choose_device, prediction_dtype
from darkroom.params.evaluate import Evaluate, Predict
from darkroom.prediction.networks.predict import predict
from darkroom.prediction.networks.tta import TTA
from darkroom.prediction.predictions import Prediction
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import mask_classes
from darkroom.stages._model_params import require_same_params
from darkroom.store.loader import loader
from darkroom.store.store import Store
from darkroom.tasks.planes import MaskClasses


@dataclass(frozen=True)
class TrainedFolds:
    """Networks by fold, with the settings to predict with them.

    Attributes:
        networks: By fold.
        precisions: By fold, what its network was trained in, and on which type of device.
        task: A name of `darkroom.tasks.table.TASKS`.
        classes: How mask classes share the pixels.
        mean: Of the normalisation that they were trained with.
        std: Likewise.
        batch_size: Images at once.
        accelerator: Where to compute: "auto", "cpu", "cuda" or "mps".
        tta: Test-time augmentation.
    """

    networks: dict[int, nn.Module]
    precisions: dict[int, tuple[str, str]]
    task: str
    classes: MaskClasses
    mean: Sequence[float]
    std: Sequence[float]
    batch_size: int
    accelerator: str
    tta: TTA

    def predict(
        self, folds: Sequence[int], shards: Store, rows: pd.DataFrame
    ) -> Iterator[Prediction]:
        """Return the predictions of some folds, averaged, for rows numbered as the store's."""
        batches = loader(
            shards, rows.index.tolist(), None, masks=False, batch_size=self.batch_size, seed=None
        )
        device = choose_device(self.accelerator)
        return predict(
            [self.networks[fold] for fold in folds],
            batches,
            self.task,
            device,
            dtypes=[prediction_dtype(*self.precisions[fold], device) for fold in folds],
            mean=self.mean,
            std=self.std,
            tta=self.tta,
            tiles_at_once=self.batch_size,
            classes=self.classes,
        )

    def work_folder(self, context: Context, stage: str, fingerprint: str) -> Path:
        """Return the folder of a stage's half-done predictions for a result of this fingerprint.

        Batches of another size, another device or other threads may make other bits.
        """
        device = choose_device(self.accelerator)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        threads = torch.get_num_threads() if device.type == "cpu" else None
        text = json.dumps([fingerprint, self.batch_size, name, threads])
        return context.paths.work(hashlib.sha256(text.encode()).hexdigest(), stage)


def load(
    context: Context,
    card: Card,
    shards: Store,
    choice: Evaluate | Predict,
    tta: TTA,
    *,
    split_sha256: str | None = None,
) -> TrainedFolds:
    """Return the folds that params.yaml names.

    Args:
        context: The competition: which folds, and where they lie.
        card: What the targets are.
        shards: The images to predict.
        choice: The batch size and the accelerator.
        tta: Test-time augmentation.
        split_sha256: Of the split that they must have been trained with: with another one,
            validation images may be among their training images. None: any split will do.

    Raises:
        ArtifactError: One is absent or damaged, or was trained for other targets or images, or
            with other parameters than those of params.yaml.
    """
    folders = {
        fold: require(context.paths.model(fold), "train", context.name) for fold in context.folds
    }
    loaded = {fold: saved.load_model(folder) for fold, folder in folders.items()}
    _, first = loaded[context.folds[0]]
    expected: dict[str, object] = {
        "task": card.task,
        "targets": list(card.targets),
        "exclusive": card.exclusive or None,
        "classes": list(card.classes),
        "height": shards.height,
        "width": shards.width,
        "fit": shards.fit,
        "channels": shards.channels,
        "mean": first.get("mean", "numbers"),
        "std": first.get("std", "numbers"),
    }
    if split_sha256 is not None:
        expected["split_sha256"] = split_sha256
    for fold, (_, metadata) in loaded.items():
        _check_metadata(context, fold, metadata, expected | {"fold": fold})
        require_same_params(context, fold, folders[fold], metadata)
    return TrainedFolds(
        networks={fold: network for fold, (network, _) in loaded.items()},
        precisions={
            fold: (info.get("precision", "float32"), info.get("trained_on", "cpu"))
            for fold, (_, info) in loaded.items()
        },
        task=card.task,
        classes=mask_classes(card),
        mean=first["mean"],
        std=first["std"],
        batch_size=choice.batch_size,
        accelerator=choice.accelerator,
        tta=tta,
    )


def _check_metadata(
    context: Context, fold: int, metadata: Mapping[str, Any], expected: Mapping[str, object]
) -> None:
    """Raise ArtifactError if a model was not trained for what is expected."""
    for key, value in expected.items():
        if metadata.get(key) != value:
            raise ArtifactError(
                f"this model was trained for another {key}",
                file=context.paths.model(fold),
                found=metadata.get(key),
                expected=value,
                fix=f"run `dvc repro train@{context.name}-{fold}`",
            )
