"""Load the network of a trained fold, and check that it fits the images to predict."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn

from darkroom.errors import ArtifactError, ParamsError
from darkroom.index.card import Card
from darkroom.models import saved
from darkroom.models.device import choose_device, prediction_dtype
from darkroom.models.sizes import check_size
from darkroom.params.evaluate import Predict
from darkroom.prediction.networks.predict import predict
from darkroom.prediction.networks.tta import TTA, tta_of
from darkroom.prediction.predictions import Prediction
from darkroom.project.paths import PARAMS, Fold
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import mask_classes, outputs_of
from darkroom.stages._model_params import require_same_params
from darkroom.store.loader import loader
from darkroom.store.store import Store
from darkroom.tasks.planes import MaskClasses


@dataclass(frozen=True)
class TrainedNetwork:
    """A fold's network, with the settings to predict with it.

    Attributes:
        network: In eval mode.
        info: Its model.json.
        outputs: K, of a prediction.
        classes: How mask classes share the pixels.
        choice: The batch size, the accelerator, and test-time augmentation.
    """

    network: nn.Module
    info: Mapping[str, Any]
    outputs: int
    classes: MaskClasses
    choice: Predict

    def predict(self, shards: Store, rows: pd.DataFrame) -> Iterator[Prediction]:
        """Return the predictions for rows numbered as the store's."""
        size, info = self.choice.batch_size, self.info
        batches = loader(shards, rows.index.tolist(), None, masks=False, batch_size=size, seed=None)
        device = choose_device(self.choice.accelerator)
        precision = info.get("precision", "float32"), info.get("trained_on", "cpu")
        return predict(
            [self.network],
            batches.read_ahead(),
            info["task"],
            device,
            dtypes=[prediction_dtype(*precision, device)],
            mean=info["mean"],
            std=info["std"],
            tta=tta_of(self.choice),
            tiles_at_once=size,
            classes=self.classes,
        )

    def bits(self) -> list[object]:
        """Return what the bits of predictions depend on, besides their fingerprint.

        Batches of another size, another device or other threads may make other bits.
        """
        device = choose_device(self.choice.accelerator)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        threads = torch.get_num_threads() if device.type == "cpu" else None
        return [self.choice.batch_size, name, threads]


def load(
    context: Context,
    fold: Fold,
    card: Card,
    shards: Store,
    choice: Predict,
    *,
    split_sha256: str | None,
) -> TrainedNetwork:
    """Return the network of a fold.

    Args:
        context: The competition: where the model lies.
        fold: The fold.
        card: What the targets are.
        shards: The images to predict.
        choice: How to predict.
        split_sha256: Of the split that it must have been trained with: with another one,
            validation images may be among its training images. None: any split will do.

    Raises:
        ArtifactError: It is absent or damaged, or was trained for other targets or images, or
            with other parameters than those of params.yaml.
        ParamsError: It cannot take the images as `predict.tta` turns them.
    """
    folder = require(context.paths.model(fold), "train", f"{context.name}-{fold}")
    network, info = saved.load_model(folder)
    expected: dict[str, object] = {
        "task": card.task,
        "targets": list(card.targets),
        "exclusive": card.exclusive or None,
        "classes": list(card.classes),
        "height": shards.height,
        "width": shards.width,
        "fit": shards.fit,
        "channels": shards.channels,
        "mean": info.get("mean", "numbers"),
        "std": info.get("std", "numbers"),
        "fold": fold,
    }
    if split_sha256 is not None:
        expected["split_sha256"] = split_sha256
    _check_metadata(context, fold, info, expected)
    require_same_params(context, fold, folder, info)
    _check_turns(network, shards, tta_of(choice))
    return TrainedNetwork(
        network=network,
        info=info,
        outputs=outputs_of(card),
        classes=mask_classes(card),
        choice=choice,
    )


def _check_turns(network: nn.Module, shards: Store, tta: TTA) -> None:
    """Raise ParamsError if a network takes images that are higher than wide alone, say.

    Tiles are not turned.
    """
    height, width = shards.height, shards.width
    if height == width or tta.tiles or not tta.quarter_turns:
        return
    try:
        check_size(network, shards.channels, width, height)
    except ParamsError as error:
        raise ParamsError(
            f"predict.tta turns images by a quarter, but the network takes none of {width} x "
            f"{height} px",
            file=PARAMS,
            found=", ".join(tta.quarter_turns),
            expected="hflip, vflip, rot180",
            fix="leave the others out, or preprocess to squares and train again",
        ) from error


def _check_metadata(
    context: Context, fold: Fold, metadata: Mapping[str, Any], expected: Mapping[str, object]
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
