"""Scores of predicted masks out of fold, and the choice of their thresholds.

A class gets a threshold of its own where at least ten images show it; else the one that is best for
all in common.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.params.section import OBJECT_METRICS
from darkroom.prediction import thresholds
from darkroom.prediction.decision import DEFAULT_THRESHOLD, Decision
from darkroom.prediction.label_scores import Evaluation, Metrics
from darkroom.prediction.masks.counts import MaskRules, count_fold
from darkroom.prediction.masks.stacks import STACKED
from darkroom.prediction.parts import Arrays, extended, joined, rows_of
from darkroom.prediction.scoring import LabelledPredictions
from darkroom.prediction.thresholds import THRESHOLDS, Doubles
from darkroom.raw.archives import Archives
from darkroom.store.store import Store
from darkroom.tasks.metrics.masks import class_scores, image_scores, masks_score
from darkroom.tasks.metrics.objects import object_scores

Array = NDArray[Any]

LEAST_IMAGES = 10  # that show a class, to choose its threshold by
_DICE_SHARE = 0.4  # of dice_hausdorff


def score_masks(
    folds: Sequence[LabelledPredictions],
    shards: Store,
    archives: Archives,
    *,
    rules: MaskRules,
    progress: Callable[[int], Any],
) -> Evaluation:
    """Return the scores of each image's masks at their final size, against its raw masks.

    Args:
        folds: Scored as one set.
        shards: Of the training part: the fit, and the masks for the mean-mask baseline.
        archives: Of the raw masks.
        rules: What is counted.
        progress: Called with the number of images done.
    """
    ids: list[str] = []
    counted: list[Arrays] = []
    for fold in folds:
        # A stack is scored when its last slice is: half of one can't be gone on from.
        journal = None if rules.spec.name == STACKED else fold.journal
        for part in extended(journal, partial(count_fold, fold, shards, archives, rules)):
            counted.append(part)
            progress(rows_of(part))
        ids += fold.rows["id"].tolist()
    counts = joined(counted)
    if rules.spec.name == "dice" and len(rules.levels) == len(THRESHOLDS) and rules.planes == 1:
        return _single_dice(ids, counts, rules)
    return evaluate_masks(ids, counts, rules)


def _single_dice(ids: Sequence[str], counts: Arrays, rules: MaskRules) -> Evaluation:
    areas = counts["areas"]
    return evaluate_segmentation(
        ids,
        image_scores("dice", counts["hits"], counts["answered"], areas)[:, 0],
        counts["covered"],
        threshold=rules.fixed,
        mean_mask_dice=image_scores("dice", counts["mean_hits"], counts["mean_answered"], areas)[
            :, 0
        ],
    )


def evaluate_masks(ids: Sequence[str], counts: Arrays, rules: MaskRules) -> Evaluation:
    """Return the score of masks by any metric, at the thresholds that are best for it.

    Args:
        ids: Of n images.
        counts: See `darkroom.prediction.masks.counts.count_fold`.
        rules: What was counted.
    """
    name, levels = rules.spec.name, THRESHOLDS[rules.levels]
    places = choose_levels(counts, rules)
    threshold = tuple(levels[places].tolist())
    decision = Decision(threshold[0] if len(set(threshold)) == 1 else threshold)
    score = _score(counts, places, name)
    metrics: Metrics = {name: score, f"baseline_{name}": _baseline(counts, rules)}
    if rules.fixed is None and len(ids) > 1:
        metrics[f"{name}_cross_fitted"] = _cross_fitted(counts, rules)
    if rules.fixed is None:
        half = np.full_like(places, np.flatnonzero(levels == DEFAULT_THRESHOLD))
        metrics[f"{name}_at_half"] = _score(counts, half, name)
    dice = _at(image_scores("dice", counts["hits"], counts["answered"], counts["areas"]), places)
    metrics |= {"dice": float(dice.mean())} if name != "dice" else {}
    metrics |= {"threshold": threshold[0]} if isinstance(decision.threshold, float) else {}
    metrics["images"] = len(ids)
    by_image = dice.mean(axis=1)
    if name in OBJECT_METRICS:
        by_image = object_scores(name, counts["objects"])[:, places[0]]
    elif name in ("iou", "mask_iou_precision"):
        curves = image_scores(name, counts["hits"], counts["answered"], counts["areas"])
        by_image = _at(curves, places).mean(axis=1)
    per_image = pd.DataFrame({"id": list(ids), "score": by_image, "covered": counts["covered"]})
    table = pd.DataFrame(
        {
            "class": list(rules.names) or ["mask"],
            "images": (counts["areas"] > 0).sum(axis=0),
            "dice": dice.mean(axis=0),
            "threshold": threshold,
        }
    )
    curve = pd.DataFrame({"threshold": levels, name: _common_curve(counts, rules)})
    return Evaluation(metrics, per_image, {"classes": table, "threshold": curve}, decision)


def choose_levels(counts: Arrays, rules: MaskRules) -> NDArray[np.intp]:
    """Return the position (K,) in `rules.levels` of each class's threshold."""
    levels, planes = THRESHOLDS[rules.levels], counts["areas"].shape[1]
    if rules.fixed is not None:
        return np.full(planes, np.argmin(np.abs(levels - rules.fixed)))
    common = thresholds.best_index(_common_curve(counts, rules), levels)
    places = np.full(planes, common)
    if rules.spec.name in OBJECT_METRICS:
        return places  # objects of all classes count together
    curves = _class_curves(counts, rules.spec.name)
    for k in np.flatnonzero((counts["areas"] > 0).sum(axis=0) >= LEAST_IMAGES):
        if planes > 1 and not np.isnan(curves[k]).all():
            places[k] = thresholds.best_index(np.nan_to_num(curves[k], nan=-np.inf), levels)
    return places


def _cross_fitted(counts: Arrays, rules: MaskRules) -> float | None:
    """Return the score when each half of the images has the thresholds of the other half."""
    odd = np.arange(len(counts["areas"])) % 2 == 1
    parts = []
    for half in (odd, ~odd):
        places = choose_levels({key: value[~half] for key, value in counts.items()}, rules)
        own = {key: value[half] for key, value in counts.items()}
        for key in ("hits", "answered", "distances"):
            if key in own:
                own[key] = _at(own[key], places)[:, :, None]
        if "objects" in own:
            own["objects"] = own["objects"][:, [places[0]]]
        parts.append(own)
    whole = joined(parts)
    return _score(whole, np.zeros(whole["areas"].shape[1], np.intp), rules.spec.name)


def _common_curve(counts: Arrays, rules: MaskRules) -> Doubles:
    """Return the score at each level, the same for all classes, float64 (T,)."""
    planes = counts["areas"].shape[1]
    scores = [
        _score(counts, np.full(planes, place), rules.spec.name)
        for place in range(len(rules.levels))
    ]
    return np.array([-np.inf if score is None else score for score in scores])


def _class_curves(counts: Arrays, name: str) -> Doubles:
    """Return the score of each class at each level, (K, T)."""
    curves = class_scores(name, counts["hits"], counts["answered"], counts["areas"])
    if name != STACKED:
        return curves
    distances = counts["distances"]
    number = (~np.isnan(distances)).sum(axis=0)
    mean = np.where(number > 0, np.nansum(distances, axis=0) / np.maximum(number, 1), 1.0)
    return _DICE_SHARE * np.nan_to_num(curves) + (1 - _DICE_SHARE) * (1 - mean)


def _score(counts: Arrays, places: NDArray[np.intp], name: str) -> float | None:
    """Return the score of all images with a level for each class."""
    if name in OBJECT_METRICS:
        return float(object_scores(name, counts["objects"])[:, places[0]].mean())
    hits, answered = (_at(counts[key], places) for key in ("hits", "answered"))
    score = masks_score(name, hits, answered, counts["areas"])
    if name != STACKED or score is None:
        return score
    distances = _at(counts["distances"], places)
    mean = float(np.nanmean(distances)) if (~np.isnan(distances)).any() else 0.0
    return _DICE_SHARE * score + (1 - _DICE_SHARE) * (1 - mean)


def _at(values: Array, places: NDArray[np.intp]) -> Array:
    """Return values (n, K) of (n, K, T) at a position for each class."""
    return values[:, np.arange(len(places)), places]


def _baseline(counts: Arrays, rules: MaskRules) -> float | None:
    """Return the best score of nothing, of everything and of the mean mask, in every image."""
    name, areas = rules.spec.name, counts["areas"]
    if name in OBJECT_METRICS:
        nothing = counts["objects"].copy()
        nothing[..., 2] += nothing[..., 0]  # all of the truth is missed
        nothing[..., :2] = 0
        return float(object_scores(name, nothing)[:, 0].mean())
    if name == STACKED:
        return 0.0  # no pixel of any row, and the greatest distance
    pixels = np.broadcast_to(counts["pixels"][:, None], areas.shape)
    constants = [(np.zeros_like(areas), np.zeros_like(areas)), (areas, pixels)]
    by_class = class_scores(name, counts["mean_hits"], counts["mean_answered"], areas)
    if (~np.isnan(by_class)).all():
        places = by_class.argmax(axis=1)
        constants.append((_at(counts["mean_hits"], places), _at(counts["mean_answered"], places)))
    scores = [masks_score(name, hits, answered, areas) for hits, answered in constants]
    return max((score for score in scores if score is not None), default=None)


def evaluate_segmentation(
    ids: Sequence[str],
    dice: Doubles,
    covered: Doubles,
    *,
    threshold: float | None = None,
    mean_mask_dice: Doubles | None = None,
) -> Evaluation:
    """Return the mean Dice of the images, at the threshold where it is highest.

    Args:
        ids: Of n images.
        dice: float64 (n, 255), from thresholds.dice_curve.
        covered: float64 (n,), the share of each image that its mask covers.
        threshold: Use this one, rounded to a multiple of 1/256, instead of the best.
        mean_mask_dice: float64 (n, 255), the curves of the mean mask of the training images
            taken as a prediction, for a baseline; its own best threshold is taken.
    """
    curve = dice.mean(axis=0)
    index = thresholds.choose(curve, threshold)
    scores = dice[:, index]
    metrics: Metrics = {
        "dice": float(scores.mean()),
        "dice_median": float(np.median(scores)),
        "dice_lowest": float(scores.min()),
        "dice_at_half": float(curve[thresholds.index_of(0.5)]),
        "baseline_all_background": float((covered == 0).mean()),
        "baseline_all_foreground": float((2 * covered / (covered + 1)).mean()),
        "threshold": float(THRESHOLDS[index]),
        "images": len(ids),
    }
    if mean_mask_dice is not None:
        metrics["baseline_mean_mask"] = float(mean_mask_dice.mean(axis=0).max())
    per_image = pd.DataFrame({"id": list(ids), "score": scores, "covered": covered})
    curves = {"threshold": pd.DataFrame({"threshold": THRESHOLDS, "dice": curve})}
    return Evaluation(metrics, per_image, curves, Decision(float(THRESHOLDS[index])))
