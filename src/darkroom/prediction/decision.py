"""decision.json: how probabilities become answers, from evaluate to the submission.

A threshold fits the predictions that it was chosen on. So all is decided once, by evaluate, on the
validation images, and the submission takes it as it is.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import ArtifactError
from darkroom.images.objects import Cleanup
from darkroom.prediction.averaging import averaged
from darkroom.prediction.predictions import Prediction
from darkroom.project.checked_json import read_json, write_json
from darkroom.tasks.answers import DECODERS, apply_temperature, decode_grade
from darkroom.tasks.planes import MaskClasses

DEFAULT_THRESHOLD = 0.5
WITHOUT_THRESHOLD = ("multiclass", "regression")  # the greatest class, or the value itself
Threshold = float | tuple[float, ...]


@dataclass(frozen=True)
class Decision:
    """What evaluate decided.

    Attributes:
        threshold: A pixel or label is present if its probability is greater; 0 < threshold < 1.
            One for all, or one a label or mask class. None: the task needs none.
        at_least_one: Multilabel: an image none of whose labels is above its threshold gets the
            one that is nearest to it, by the ratio.
        cuts: The answer is a grade: how many of these, ascending, the value is greater than; with
            classes, the expected grade Σ k p. (): the answer is no grade, or the greatest class.
        min_area: Masks: parts of fewer pixels are left out, at original size.
        fill_holes: Masks: holes are filled.
        separate: Masks: objects that touch are separated.
        largest: Masks: all but the largest object are left out.
        temperature: Of classes and labels, where the metric counts how sure probabilities are:
            above 1 they are made less sure. Each network's, before they are averaged.
        networks: The digests of the weights whose validation predictions it was chosen on, by
            ascending fold; (): a blend's.
    """

    threshold: Threshold | None = DEFAULT_THRESHOLD
    at_least_one: bool = False
    cuts: tuple[float, ...] = ()
    min_area: int = 0
    fill_holes: bool = False
    separate: bool = False
    largest: bool = False
    temperature: float = 1.0
    networks: tuple[str, ...] = ()

    def calibrated(self, task: str, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (N, K) of a task at the decision's temperature, float32."""
        return apply_temperature(task, probabilities, self.temperature)

    def answers(self, task: str, probabilities: NDArray[np.float32]) -> NDArray[Any]:
        """Return the answers to predictions of a task.

        Args:
            task: A name of `darkroom.tasks.table.TASKS`.
            probabilities: float32 (N, K), or (N, K, H, W) for masks; values for regression.

        Returns:
            uint8 of the same shape for labels and masks; int64 (N,) class numbers, or grades
            where there are cuts; values as they are.

        Raises:
            ArtifactError: There are more or fewer thresholds than labels.
        """
        if self.cuts:
            return decode_grade(probabilities, self.cuts)
        if self.threshold is None:
            return DECODERS[task](probabilities, DEFAULT_THRESHOLD)
        threshold = self.threshold_array(probabilities.shape[1])
        if probabilities.ndim > 2:
            threshold = threshold.reshape(-1, *[1] * (probabilities.ndim - 2))
        answers = (probabilities > threshold).astype(np.uint8)
        if self.at_least_one and probabilities.ndim == 2 and probabilities.shape[1] > 1:
            empty = np.flatnonzero(~answers.any(axis=1))
            nearest = (probabilities[empty] / threshold).argmax(axis=1)
            answers[empty, nearest] = 1
        return answers

    @property
    def cleanup(self) -> Cleanup:
        """What is done to the objects of a mask."""
        return Cleanup(self.min_area, self.fill_holes, self.separate, self.largest)

    def masks(
        self, probabilities: NDArray[np.float32], *, exclusive: bool, background: bool
    ) -> NDArray[np.bool_]:
        """Return the masks (K, H, W) of one image, before their cleanup.

        Args:
            probabilities: float32 (K, H, W), at their final size.
            exclusive: Whether a pixel belongs to the class whose probability is greatest, whatever
                the thresholds; of equals to the first.
            background: Whether there is one more class, first of all, whose probability is what
                the others leave of 1. Its pixels belong to no mask.

        Example:
            >>> chances = np.array([[[0.7, 0.4, 0.2]], [[0.1, 0.5, 0.2]]], np.float32)
            >>> Decision().masks(chances, exclusive=True, background=True).astype(int).tolist()
            [[[1, 0, 0]], [[0, 1, 0]]]
        """
        thresholds = None if exclusive else self.threshold_array(len(probabilities))
        masks = MaskClasses(exclusive, background).decode(probabilities, thresholds)
        return masks.view(np.bool_)

    def threshold_array(self, count: int) -> NDArray[np.float32]:
        """Return the threshold (count,) of each label, float32.

        Raises:
            ArtifactError: There are more or fewer thresholds.
        """
        threshold = DEFAULT_THRESHOLD if self.threshold is None else self.threshold
        numbers = threshold if isinstance(threshold, tuple) else (threshold,) * count
        if len(numbers) != count:
            raise ArtifactError(
                "the decision has thresholds for other labels",
                found=f"{len(numbers)} thresholds",
                expected=count,
                fix="run evaluate again",
            )
        return np.array(numbers, np.float32)


def write_decision(path: Path, decision: Decision) -> None:
    """Write the decision."""
    write_json(path, asdict(decision))


def read_decision(path: Path, name: str, task: str, labels: int | None = None) -> Decision:
    """Return the decision for a competition.

    Args:
        path: Of decision.json.
        name: The competition, for messages.
        task: A task that needs a threshold is refused a decision without one.
        labels: How many labels or mask classes there are; None: not checked.

    Raises:
        ArtifactError: The file is absent or damaged.
    """
    fix = f"run `dvc repro -sf evaluate@{name}`"
    values = read_json(path, fix=fix)
    try:
        if set(values) != {each.name for each in fields(Decision)}:
            raise ValueError(f"keys {', '.join(sorted(values))}")
        values |= {key: tuple(values[key]) for key in ("cuts", "networks")}
        values["threshold"] = _as_threshold(values["threshold"])
        decision = Decision(**values)
        _check_legal(decision, task, labels)
        return decision
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "it is damaged: it holds no valid decision",
            file=path,
            found=error,
            fix=fix,
        ) from error


def _as_threshold(value: object) -> Threshold | None:
    if isinstance(value, list):
        return tuple(value)
    if value is None or isinstance(value, float):
        return value
    raise ValueError(f"threshold {value!r}")


def _check_legal(decision: Decision, task: str, labels: int | None) -> None:
    """Raise ValueError unless all values are legal for a task."""
    threshold = decision.threshold
    if (task in WITHOUT_THRESHOLD) != (threshold is None):
        raise ValueError(f"threshold {'null' if threshold is None else threshold} for {task}")
    numbers: Sequence[object] = () if threshold is None else threshold_list(threshold)
    if not all(isinstance(number, float) and 0 < number < 1 for number in numbers):
        raise ValueError(f"threshold {threshold}")
    if isinstance(threshold, tuple) and (
        not threshold or len(threshold) != (labels or len(numbers))
    ):
        raise ValueError(f"{len(numbers)} thresholds for {labels} labels")
    cuts = decision.cuts
    is_ascending = all(isinstance(cut, float) and math.isfinite(cut) for cut in cuts)
    if not is_ascending or list(cuts) != sorted(cuts) or (cuts and task not in WITHOUT_THRESHOLD):
        raise ValueError(f"cuts {list(cuts)} for {task}")
    for key in ("at_least_one", "fill_holes", "separate", "largest"):
        if not isinstance(getattr(decision, key), bool):
            raise TypeError(f"{key} {getattr(decision, key)!r}")
    temperature = decision.temperature
    if not isinstance(temperature, float) or not 0 < temperature < math.inf:
        raise ValueError(f"temperature {temperature!r}")
    if temperature != 1 and task in ("segmentation", "regression"):
        raise ValueError(f"temperature {temperature} for {task}")
    if type(decision.min_area) is not int or decision.min_area < 0:
        raise ValueError(f"min_area {decision.min_area!r}")


def threshold_list(threshold: Threshold) -> tuple[float, ...]:
    """Return the thresholds of a decision, one or several.

    Example:
        >>> threshold_list(0.5)
        (0.5,)
    """
    return threshold if isinstance(threshold, tuple) else (threshold,)


def averaged_as_decided(
    sources: Sequence[Iterable[Prediction]], task: str, decision: Decision
) -> Iterator[Prediction]:
    """Yield the mean of the folds' predictions, each at the decision's temperature.

    It was fitted to networks one by one. The log loss of a mean is never above the mean of theirs,
    so before the mean it does no harm; behind it, it would: a mean is less sure already.
    """
    if decision.temperature == 1:
        return averaged(sources)
    return averaged([_calibrated(source, task, decision) for source in sources])


def _calibrated(
    source: Iterable[Prediction], task: str, decision: Decision
) -> Iterator[Prediction]:
    for ids, probabilities, originals in source:
        yield Prediction(ids, decision.calibrated(task, probabilities), originals)
