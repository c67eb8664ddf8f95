"""The parameters that a model learned with: in model.json, and as params.yaml would have it now.

DVC compares parameters too, but it reads params.yaml when a stage has ended: an edit in that moment
is recorded with a model of the old values. The model itself knows better.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.errors import ArtifactError
from darkroom.stages._context import Context

KEY = "params"  # of model.json
_WITHOUT_EFFECT = ("accelerator", "checkpoint_steps", "workers")  # of `train`, on the result


def learning_params(context: Context) -> dict[str, Any]:
    """Return the seed and the sections `model` and `train`, as JSON values."""
    train = context.section.train.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
    return {
        "seed": context.seed,
        "model": context.section.model.model_dump(mode="json"),
        "train": train,
    }


def require_same_params(context: Context, fold: int, folder: Path, info: Mapping[str, Any]) -> None:
    """Refuse a model that other parameters made than those of params.yaml.

    Args:
        context: The competition.
        fold: The model's.
        folder: For messages.
        info: Its model.json.

    Raises:
        ArtifactError: It learned with other parameters, each of which is named.
    """
    before, now = (_flat(each) for each in (info.get(KEY, {}), learning_params(context)))
    differences = [
        f"{key}: {before.get(key, '(none)')} in the model, {now.get(key, '(none)')} in params.yaml"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, _flat) != now.get(key, _flat)
    ]
    if differences:
        raise ArtifactError(
            "this model was trained with other parameters",
            file=folder,
            details=differences,
            fix=f"run `dvc repro -sf train@{context.name}-{fold}`",
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
