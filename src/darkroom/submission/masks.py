"""Masks of an image as run-length texts: one a class, or one an object.

A plain mask goes straight from probabilities to runs. Where pixels must be compared across classes,
or objects cleaned and numbered, each class is enlarged to its final size first.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from darkroom.images import rle
from darkroom.images.geometry import Fit, fit_placement, restore
from darkroom.images.objects import plane_objects
from darkroom.index.card import Card
from darkroom.prediction.decision import Decision
from darkroom.submission.upsample import encode_probabilities

Floats = NDArray[np.float32]
Sizes = Sequence[tuple[int, int]]
PlaneTexts = Callable[[Floats, Sizes], Iterator[list[list[str]]]]
"""(probabilities (N, K, h, w), the originals' sizes) -> for each image and class, its texts: one
a mask, or one an object."""


def plane_encoder(card: Card, decision: Decision, fit: Fit, *, objects: bool) -> PlaneTexts:
    """Return the function that writes masks.

    Args:
        card: How runs are written, and whether classes exclude each other.
        decision: Thresholds, and what is done to objects.
        fit: How the images were fitted to the stored size, to undo it.
        objects: Whether each object is written alone; one text of an empty mask where none is.
    """
    plain = not objects and not card.exclusive and not decision.cleanup.changes_masks
    encode = partial(_plain, fit=fit) if plain else partial(_whole, fit=fit, objects=objects)
    return partial(encode, card=card, decision=decision)


def _plain(
    probabilities: Floats, originals: Sizes, *, card: Card, decision: Decision, fit: Fit
) -> Iterator[list[list[str]]]:
    thresholds = decision.threshold_array(probabilities.shape[1])
    runs = card.runs
    for planes, (height, width) in zip(probabilities, originals, strict=True):
        placement = fit_placement(height, width, planes.shape[1], planes.shape[2], fit)
        texts = []
        for plane, threshold in zip(planes, thresholds, strict=True):
            if runs.size is not None:
                whole = restore(plane, height, width, fit, size=runs.size) > threshold
                bounds = rle.bounds_from_mask(whole, runs.order)
                texts.append([rle.text_from_bounds(bounds, runs)])
                continue
            text = encode_probabilities(
                plane[placement.stored.slices],
                float(threshold),
                height,
                width,
                runs=runs,
                box=placement.source,
            )
            texts.append([text])
        yield texts


def _whole(
    probabilities: Floats,
    originals: Sizes,
    *,
    card: Card,
    decision: Decision,
    fit: Fit,
    objects: bool,
) -> Iterator[list[list[str]]]:
    runs, cleanup = card.runs, decision.cleanup
    for planes, (height, width) in zip(probabilities, originals, strict=True):
        whole = np.stack([restore(plane, height, width, fit, size=runs.size) for plane in planes])
        masks = decision.masks(whole, exclusive=card.exclusive, background=card.background)
        if objects:
            labels = plane_objects(masks, cleanup, exclusive=card.exclusive)
            texts = [rle.texts_from_labels(plane, runs) for plane in labels]
            yield [[text for text in some if text != runs.empty] or [runs.empty] for some in texts]
            continue
        if cleanup.changes_masks:
            labels = plane_objects(masks, cleanup, exclusive=card.exclusive)
            masks = np.stack(labels) > 0
        bounds = [rle.bounds_from_mask(mask, runs.order) for mask in masks]
        yield [[rle.text_from_bounds(each, runs)] for each in bounds]
