"""The mixes of a blend on disk: JSON with a checksum, arrays to the bit, and nothing pickled.

So new predictions of the same networks can be mixed later, without those that the mixes were
fitted to.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import ArtifactError
from darkroom.prediction.blending.mixes import Mix, RankMean, WeightedMean
from darkroom.prediction.blending.stacked import (
    Linear,
    StackedClasses,
    StackedLabels,
    StackedValues,
)
from darkroom.project.checked_json import read_json, write_json
from darkroom.project.paths import Fold

if TYPE_CHECKING:  # scikit-learn is needed to fit alone
    from darkroom.prediction.blending.fitting import Blend


@dataclass(frozen=True)
class FoldMix:
    """How the networks of one fold are mixed.

    Attributes:
        mix: Of a batch of each member.
        networks: The digest of the weights of each member's network.
    """

    mix: Mix
    networks: tuple[str, ...]


def write_mixes(path: Path, blend: "Blend", networks: Mapping[Fold, Sequence[str]]) -> None:
    """Write how the test predictions of each fold are mixed.

    Args:
        path: The file.
        blend: The mixes.
        networks: By fold, the digest of the weights of each member's network.
    """
    folds = {
        str(fold): {"mix": _to_json(blend.test_mix(fold)), "networks": list(digests)}
        for fold, digests in networks.items()
    }
    write_json(path, {"folds": folds})


def read_mixes(path: Path, *, fix: str) -> dict[str, FoldMix]:
    """Return what `write_mixes` was given, by fold: "0", "all".

    Raises:
        ArtifactError: The file is absent or damaged.
    """
    values = read_json(path, fix=fix)
    try:
        return {
            fold: FoldMix(_from_json(each["mix"]), tuple(each["networks"]))
            for fold, each in values["folds"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            "it is damaged: it holds no mixes of a blend", file=path, found=error, fix=fix
        ) from error


def _to_json(mix: Mix) -> dict[str, Any]:
    match mix:
        case WeightedMean(weights, scale):
            return {"kind": "mean", "weights": list(weights), "scale": scale}
        case RankMean(columns):
            return {"kind": "ranks", "columns": [_packed(each) for each in columns]}
        case StackedClasses(model, classes):
            return {"kind": "classes", "model": _linear(model), "classes": list(classes)}
        case StackedLabels(models) | StackedValues(models):
            kind = "labels" if isinstance(mix, StackedLabels) else "values"
            return {"kind": kind, "models": [model and _linear(model) for model in models]}
    raise TypeError(f"a mix that cannot be written: {mix}")


def _from_json(values: Mapping[str, Any]) -> Mix:
    match values["kind"]:
        case "mean":
            return WeightedMean(tuple(values["weights"]), values["scale"])
        case "ranks":
            return RankMean(tuple(map(_unpacked, values["columns"])))
        case "classes":
            return StackedClasses(_model(values["model"]), tuple(values["classes"]))
        case "labels":
            return StackedLabels(_models(values))
        case "values":
            return StackedValues(_models(values))
    raise ValueError(f"a mix of kind {values['kind']}")


def _models(values: Mapping[str, Any]) -> tuple[Linear | None, ...]:
    return tuple(each and _model(each) for each in values["models"])


def _linear(model: Linear) -> list[dict[str, Any]]:
    return [_packed(model.coefficients), _packed(model.intercepts)]


def _model(values: Sequence[Mapping[str, Any]]) -> Linear:
    coefficients, intercepts = map(_unpacked, values)
    return Linear(coefficients, intercepts)


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    """Return an array as JSON: a decimal text of each number would take three times as long."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode()
    return {"dtype": little.dtype.str, "shape": list(array.shape), "data": data}


def _unpacked(values: Mapping[str, Any]) -> NDArray[Any]:
    if values["dtype"] not in ("<f4", "<f8"):
        raise ValueError(f"numbers of type {values['dtype']}")
    flat = np.frombuffer(base64.b64decode(values["data"], validate=True), values["dtype"])
    return flat.reshape(values["shape"])
