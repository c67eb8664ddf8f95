"""From probabilities to answers, and to a caption that says whether an answer is right."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Threshold = float | Floats  # one, or one a label (K,)
Decoder = Callable[[Floats, Threshold], npt.NDArray[Any]]
"""(probabilities, threshold) to answers."""

_ROWS_AT_ONCE = 1024
# What float32 tells from 0 and from 1: a probability that was rounded to them has no logarithm.
_LEAST_SHARE, _MOST_SHARE = float(np.finfo(np.float32).tiny), 1 - 2.0**-25


def decode_yes(probabilities: Floats, threshold: Threshold) -> npt.NDArray[np.uint8]:
    """Return 1 where a probability is greater than the threshold, else 0.

    Example:
        >>> decode_yes(np.array([[0.2, 0.5, 0.7]], np.float32), 0.5)
        array([[0, 0, 1]], dtype=uint8)
    """
    return (probabilities > threshold).astype(np.uint8)


def decode_class(probabilities: Floats, _threshold: Threshold) -> npt.NDArray[np.int64]:
    """Return the number (N,) of the most probable class; the lower one of equals."""
    return np.asarray(probabilities.argmax(axis=1), np.int64)


def decode_grade(predictions: Floats, cuts: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return the grade (N,) of each image: how many cuts, ascending, its value is greater than.

    Args:
        predictions: Values (N, 1); or probabilities (N, K) of grades, whose expectation counts.
        cuts: Ascending.

    Example:
        >>> decode_grade(np.array([[0.2], [1.5], [3.1]], np.float32), (0.5, 1.5, 2.5))
        array([0, 1, 3])
    """
    return np.asarray(
        np.searchsorted(np.asarray(cuts), expected_grade(predictions), side="left"), np.int64
    )


def expected_grade(predictions: Floats) -> npt.NDArray[np.float64]:
    """Return the value (N,) of predictions (N, 1), or the expectation of probabilities (N, K)."""
    values = predictions.astype(np.float64)
    if values.shape[1] == 1:
        return values[:, 0]
    return np.asarray(values @ np.arange(values.shape[1], dtype=np.float64), np.float64)


def normalised_shares(probabilities: Floats) -> Floats:
    """Return probabilities (N, K) of classes so that each row sums to 1, float32.

    So they are written and scored: a softmax of float32 leaves sums that differ in the last digit,
    and dividing by them parts images that were equal, which an area under a curve notices.

    Example:
        >>> normalised_shares(np.array([[0.3, 0.1]], np.float32))
        array([[0.75, 0.25]], dtype=float32)
    """
    shares = np.empty_like(probabilities, np.float32)
    for start in range(0, len(probabilities), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        doubles = probabilities[rows].astype(np.float64)
        shares[rows] = doubles / doubles.sum(axis=1, keepdims=True)
    return shares


def apply_temperature(task: str, probabilities: Floats, temperature: float) -> Floats:
    """Return probabilities that are less sure where the temperature is above 1, more below.

    Of classes softmax(log p / T), of labels sigmoid(logit p / T); at 1 as they are.

    Args:
        task: "multiclass", whose rows sum to 1; or one of labels, "binary" or "multilabel".
        probabilities: float32 (N, K).
        temperature: T > 0.

    Example:
        >>> apply_temperature("multiclass", np.array([[0.9, 0.1]], np.float32), 2.0)
        array([[0.75, 0.25]], dtype=float32)
        >>> apply_temperature("binary", np.array([[0.9]], np.float32), 2.0)
        array([[0.75]], dtype=float32)
    """
    if temperature == 1:
        return probabilities
    result = np.empty_like(probabilities, np.float32)
    for start in range(0, len(probabilities), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        p = np.clip(probabilities[rows].astype(np.float64), _LEAST_SHARE, 1)
        if task == "multiclass":
            logits = np.log(p) / temperature
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            result[rows] = odds / odds.sum(axis=1, keepdims=True)
        else:
            p = np.minimum(p, _MOST_SHARE)
            result[rows] = 1 / (1 + np.exp((np.log1p(-p) - np.log(p)) / temperature))
    return result


def decode_value(values: Floats, _threshold: Threshold) -> Floats:
    """Return the values as they are."""
    return values


DECODERS: dict[str, Decoder] = {
    "multilabel": decode_yes,
    "binary": decode_yes,
    "multiclass": decode_class,
    "regression": decode_value,
}
"""Of each task without masks; those of masks depend on how classes share the pixels."""


def answer_caption(
    decode: Decoder,
    truth: Any,
    probabilities: Floats,
    names: Sequence[str],
    *,
    threshold: Threshold = 0.5,
) -> tuple[str, bool | None]:
    """Return a line on one image's truth and prediction, and whether it is right.

    Args:
        decode: Of a task without masks.
        truth: A class number or (K,) shares of classes; or (K,) labels or values, NaN where
            unknown.
        probabilities: (K,); or values, which are neither right nor wrong: then None is returned.
        names: Of the classes or labels; those without a name are shown by number.
        threshold: A label is present if its probability is greater.

    Example:
        >>> scores = np.array([0.1, 0.9], np.float32)
        >>> answer_caption(decode_class, 0, scores, ["cat", "dog"])
        ('dog 90%, is cat', False)
    """

    def name(number: int) -> str:
        return names[number] if number < len(names) else str(number)

    answer = decode(probabilities[None], threshold)[0]
    if np.ndim(answer) == 0:
        truth = np.argmax(truth) if np.ndim(truth) else truth
        line = f"{name(int(answer))} {probabilities[answer]:.0%}"
        is_right = int(answer) == int(truth)
        return line if is_right else f"{line}, is {name(int(truth))}", is_right
    if answer.dtype != np.uint8:
        is_named = len(names) == len(answer) > 1
        heads = [f"{each} " for each in names] if is_named else [""] * len(answer)
        values = zip(heads, answer, truth, strict=True)
        return ", ".join(f"{head}{a:.4g} (is {t:.4g})" for head, a, t in values), None
    is_known = ~np.isnan(np.asarray(truth, np.float64))
    wrong = np.flatnonzero((answer != (np.asarray(truth) > 0.5)) & is_known)
    if not len(wrong):
        return f"{is_known.sum()} of {is_known.sum()} right", True
    # A plus for a label that was added, a minus for one that was missed.
    errors = " ".join(f"{'+' if answer[i] else '−'}{name(int(i))}" for i in wrong)
    return f"{is_known.sum() - len(wrong)} of {is_known.sum()}: {errors}", False
