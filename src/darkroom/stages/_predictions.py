"""Read kept predictions, and check that they are those that params.yaml and the index ask for."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

from darkroom.errors import ArtifactError
from darkroom.index.table import Index
from darkroom.prediction.predictions import Part, Predictions
from darkroom.project.checked_json import read_json
from darkroom.project.paths import Fold
from darkroom.stages._context import Context
from darkroom.stages._inputs import outputs_of
from darkroom.stages._model_params import KEY, changed_params, prediction_params

FoldT = TypeVar("FoldT", bound=Fold)


def read_predictions(
    context: Context,
    part: Part,
    index: Index,
    ids: Mapping[FoldT, Collection[str]],
    *,
    split_sha256: str | None = None,
    owner: str | None = None,
) -> dict[FoldT, Predictions]:
    """Return the predictions of each fold.

    Args:
        context: The competition.
        part: "valid" or "test".
        index: What the images are.
        ids: By fold, those of the images that are to be predicted, in order.
        split_sha256: Of the split that the networks must have been trained with; None: any.
        owner: The section that index and split are of; None: the competition's own.

    Raises:
        ArtifactError: A file is absent or damaged, or of other images, targets or parameters, or
            of another model than the one that lies there.
    """
    return {
        fold: _read(context, part, index, fold, expected, split_sha256, owner or context.name)
        for fold, expected in ids.items()
    }


def _read(
    context: Context,
    part: Part,
    index: Index,
    fold: Fold,
    ids: Collection[str],
    split_sha256: str | None,
    owner: str,
) -> Predictions:
    path = context.paths.predictions(part, fold)
    fix = f"run `dvc repro -s predict@{context.name}-{fold}-{part}`"
    stored = Predictions(path, fix=fix)
    expected = {"fold": fold} | ({} if split_sha256 is None else {"split": split_sha256})
    require_of(stored, part, index, ids, expected, (fix, data_fix(owner, context.name, fix)))
    facts = stored.header.facts
    if differences := changed_params(facts.get(KEY, {}), prediction_params(context)):
        raise ArtifactError(
            "these predictions were made with other parameters",
            file=path,
            details=differences,
            fix=f"run `dvc repro predict@{context.name}-{fold}-{part}`",
        )
    _require_same_weights(context.paths.model(fold), facts.get("weights"), path, fix)
    return stored


def require_of(
    stored: Predictions,
    part: Part,
    index: Index,
    ids: Collection[str],
    facts: Mapping[str, object],
    fixes: tuple[str, str],
) -> None:
    """Raise ArtifactError unless predictions are of these images and targets, and of some facts.

    Args:
        stored: The predictions.
        part: "valid" or "test".
        index: What the images are.
        ids: Those of the images that are to be predicted, in order.
        facts: Of their header, what else must be so: the fold, the split.
        fixes: What to do otherwise; and what if index or split are others.
    """
    header = stored.header
    expected: dict[str, object] = {
        "part": part,
        "task": index.card.task,
        "outputs": outputs_of(index.card),
        "index": index.sha256,
        **facts,
    }
    described = {"part": header.part, "task": header.task, "outputs": header.shape[0]}
    values = {**header.facts, **described}
    for key, value in expected.items():
        if values.get(key) != value:
            raise ArtifactError(
                f"these predictions are of another {key}",
                file=stored.path,
                found=values.get(key),
                expected=value,
                fix=fixes[key in ("index", "split")],
            )
    if not stored.are_of(ids):
        raise ArtifactError(
            "these predictions are of other images",
            file=stored.path,
            found=f"{header.rows} images",
            expected=f"the {len(ids)} of the index, in its order",
            fix=fixes[0],
        )


def data_fix(owner: str, other: str, fix: str) -> str:
    """Return what to do where a section's predictions are not of the index or split of another.

    Args:
        owner: The section that has these.
        other: That of the predictions.
        fix: What to do if both are one: to predict again.
    """
    if owner == other:
        return fix
    return (
        f"run `dvc repro`, so that {owner} and {other} have the same rows and split; if it reruns "
        f"nothing, their files differ: `dvc repro -f fetch@{owner} fetch@{other}`, then `dvc repro`"
    )


def _require_same_weights(folder: Path, weights: object, path: Path, fix: str) -> None:
    """Refuse predictions of an older model than the one that lies there, if there is one."""
    info = folder / "model.json"
    if not info.is_file():
        return  # predictions can be had from DVC's cache without it
    now = read_json(info, fix="train again").get("weights")
    if now != weights:
        raise ArtifactError(
            "these predictions are of another model",
            file=path,
            found=f"weights {weights}",
            expected=f"weights {now}, those of {folder}",
            fix=fix,
        )


def networks_of(predictions: Mapping[FoldT, Predictions]) -> tuple[str, ...]:
    """Return the digests of the weights that predicted, by ascending fold, without fold all.

    Those of a blend name none.
    """
    weights = {
        fold: each.header.facts.get("weights")
        for fold, each in predictions.items()
        if isinstance(fold, int)
    }
    return tuple(str(weights[fold]) for fold in sorted(weights) if weights[fold] is not None)
