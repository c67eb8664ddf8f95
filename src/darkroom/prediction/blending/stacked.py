"""Fitted linear models of members' predictions, applied without scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from darkroom.prediction.blending.mixes import mean_of
from darkroom.prediction.thresholds import Doubles, Floats

LEAST = 1e-6  # a probability below it says no more


@dataclass(frozen=True)
class Linear:
    """Coefficients of members (M * F,) to outputs (K,), and the intercepts (K,)."""

    coefficients: Doubles  # (K, M * F)
    intercepts: Doubles  # (K,)

    def __call__(self, features: Doubles) -> Doubles:
        """Return (n, K) of features (n, M * F)."""
        return np.asarray(features @ self.coefficients.T + self.intercepts)


@dataclass(frozen=True)
class StackedLabels:
    """A logistic regression a label; None: too few examples, and the mean of the members."""

    models: tuple[Linear | None, ...]

    def __call__(self, members: Sequence[Floats]) -> Floats:
        """Return the probabilities."""
        mixed = mean_of(members)
        for k, model in enumerate(self.models):
            if model is not None:
                mixed[:, k] = 1 / (1 + np.exp(-model(logits_of(members, k))[:, 0]))
        return mixed.astype(np.float32)


@dataclass(frozen=True)
class StackedClasses:
    """One multinomial regression.

    Attributes:
        model: Of the classes that the fitted images show.
        classes: Their numbers. Other classes keep the mean of the members.
    """

    model: Linear
    classes: tuple[int, ...]

    def __call__(self, members: Sequence[Floats]) -> Floats:
        """Return the probabilities, which sum to 1."""
        mixed = mean_of(members)
        scores = self.model(logarithms_of(members))
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        classes = list(self.classes)
        rest = mixed.sum(axis=1, keepdims=True) - mixed[:, classes].sum(axis=1, keepdims=True)
        mixed[:, classes] = (1 - rest) * shares / shares.sum(axis=1, keepdims=True)
        return np.clip(mixed, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class StackedValues:
    """A ridge regression a target; None: it is not known, and the mean of the members."""

    models: tuple[Linear | None, ...]

    def __call__(self, members: Sequence[Floats]) -> Floats:
        """Return the values."""
        mixed = mean_of(members)
        for k, model in enumerate(self.models):
            if model is not None:
                mixed[:, k] = model(np.stack([member[:, k] for member in members], axis=1))[:, 0]
        return mixed.astype(np.float32)


def logits_of(members: Sequence[Floats], k: int) -> Doubles:
    """Return the logits (n, M) of a label."""
    chances = np.stack([member[:, k] for member in members], axis=1).astype(np.float64)
    chances = np.clip(chances, LEAST, 1 - LEAST)
    return np.asarray(np.log(chances / (1 - chances)))


def logarithms_of(members: Sequence[Floats]) -> Doubles:
    """Return the logarithms (n, M * K) of class probabilities."""
    return np.log(np.maximum(np.concatenate(members, axis=1).astype(np.float64), LEAST))
