"""The parameters of a model or of predictions: as they were, and as params.yaml has them now.

DVC compares parameters too, but it reads params.yaml when a stage has ended: an edit in that moment
is recorded with a model of the old values. The model itself knows better.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.errors import ArtifactError
from darkroom.project.paths import Fold
from darkroom.stages._context import Context

KEY = "params"  # of model.json, and of the header of predictions
# Of `train`, on the result:
_WITHOUT_EFFECT = ("accelerator", "checkpoint_steps", "loggers", "workers")


def learning_params(context: Context) -> dict[str, Any]:
    """Return the seed, the sections `model` and `train`, and pseudo-labels, as JSON values."""
    train = context.section.train.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
    entry = context.pseudo_labels
    pseudo_labels = (
        {} if entry is None else entry.model_dump(mode="json", by_alias=True, exclude={"to"})
    )
    return {
        "seed": context.seed,
        "model": context.section.model.model_dump(mode="json"),
        "train": train,
        **({"pseudo_labels": pseudo_labels} if pseudo_labels else {}),
    }


def prediction_params(context: Context) -> dict[str, Any]:
    """Return what predictions depend on: those of learning, and the section `predict`."""
    predict = context.section.predict.model_dump(mode="json", exclude={"accelerator", "batch_size"})
    return learning_params(context) | {"predict": predict}


def require_same_params(
    context: Context, fold: Fold, folder: Path, info: Mapping[str, Any]
) -> None:
    """Refuse a model that other parameters made than those of params.yaml.

    Args:
        context: The competition.
        fold: The model's.
        folder: For messages.
        info: Its model.json.

    Raises:
        ArtifactError: It learned with other parameters, each of which is named.
    """
    if differences := changed_params(info.get(KEY, {}), learning_params(context), "model"):
        raise ArtifactError(
            "this model was trained with other parameters",
            file=folder,
            details=differences,
            fix=f"run `dvc repro -sf train@{context.name}-{fold}`",
        )


def changed_params(old: object, new: Mapping[str, Any], what: str = "predictions") -> list[str]:
    """Return a line for each parameter that differs.

    Args:
        old: As they were; of a file, so that it may be no mapping.
        new: Those of params.yaml.
        what: What has the old ones.
    """
    before, now = _flat(old) if isinstance(old, Mapping) else {}, _flat(new)
    return [
        f"{key}: {before.get(key, '(none)')} in the {what}, {now.get(key, '(none)')} in params.yaml"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, _flat) != now.get(key, _flat)
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
