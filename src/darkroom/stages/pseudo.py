"""pseudo: a fold's predictions of the test images -> labels with which another network trains.

Fold k takes the predictions of fold k alone. They come from networks that never saw the images
that fold k validates, so that these stay as unknown to the next network as they were to the first.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError, ParamsError
from darkroom.index.card import Card
from darkroom.index.table import Index, read_index
from darkroom.prediction.blending.sampling import same_size
from darkroom.prediction.predictions import Predictions
from darkroom.prediction.pseudo_labels import label_targets, mask_targets
from darkroom.project import files
from darkroom.project.paths import PARAMS, Fold
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import mask_classes, read_train
from darkroom.stages._predictions import data_fix, require_of
from darkroom.stages._pseudo_labels import ENTRY, MASKS, write_labels
from darkroom.stages._split import require_fold
from darkroom.store.store import Store, StoredImage, pack_mask, write_shard


@dataclass
class _Selection:
    """The test images to train on, collected batch by batch.

    Attributes:
        confidence: The least one; None: any.
        copies: The ids of test images that are training images too: their answers are known, and
            some are validated on.
        ids: Of the images taken.
        targets: Of them, batch by batch.
        greatest: The greatest confidence of an image.
    """

    confidence: float | None
    copies: frozenset[str]
    ids: list[str] = field(default_factory=list)
    targets: list[NDArray[Any]] = field(default_factory=list)
    greatest: float = 0.0

    def add(self, ids: Sequence[str], targets: NDArray[Any], certainty: NDArray[Any]) -> list[int]:
        """Take the images of a batch that the network is sure of; return their numbers in it."""
        least = np.float32(0 if self.confidence is None else self.confidence)
        numbers = [
            number
            for number, image_id in enumerate(ids)
            if certainty[number] >= least and image_id not in self.copies
        ]
        self.ids += [ids[number] for number in numbers]
        self.targets.append(targets[numbers])
        self.greatest = max(self.greatest, float(certainty.max(initial=0)))
        return numbers


def run(context: Context, fold: Fold = 0) -> None:
    """Write the pseudo-labels of a fold, by the source that `pseudo_labels` names."""
    name, paths, entry = context.name, context.paths, context.pseudo_labels
    if entry is None:
        raise ParamsError(
            f"pseudo_labels has no entry for {name}",
            file=PARAMS,
            fix=f"add it: pseudo_labels: [{{to: {name}, from: data/predictions/..., "
            "confidence: 0.9}]",
        )
    index = read_index(paths.index, paths.card)
    train, split_sha256 = read_train(paths, index)
    require_fold(train["fold"], fold)
    test = index.rows[index.rows["part"] == "test"]
    source = _read_source(name, Path(entry.source), fold, index, split_sha256, test["id"].tolist())
    is_copy = test["digest"].isin(train["digest"])
    selection = _Selection(entry.confidence, frozenset(test.loc[is_copy, "id"]))
    with files.atomic_folder(paths.pseudo_labels(fold)) as folder:
        if index.card.task == "segmentation":
            _write_masks(context, index.card, source, selection, folder / MASKS)
        else:
            _choose_labels(index.card, source, selection)
        _require_some(selection, source)
        context.require_unchanged()
        note = {
            ENTRY: entry.model_dump(mode="json", by_alias=True),
            "fingerprint": source.header.fingerprint,
            "index": index.sha256,
            "split": split_sha256,
            "fold": fold,
            "images": len(test),
            "rows": len(selection.ids),
        }
        targets = np.concatenate(selection.targets)
        write_labels(folder, selection.ids, targets, index.card, note)
    print(
        f"{name}, fold {fold}: pseudo-labels for {len(selection.ids)} of {len(test)} test images"
        f"{_shown_counts(targets, index.card)}"
    )


def _read_source(
    name: str, folder: Path, fold: Fold, index: Index, split_sha256: str, ids: Sequence[str]
) -> Predictions:
    """Return a fold's predictions, if they are of the same images, targets and split.

    Raises:
        ArtifactError: They are absent, damaged, or of something else.
    """
    fix = f"run `darkroom predict {folder.name} --fold {fold} --part test`"
    source = Predictions(folder / "test" / f"fold{fold}.arrow", fix=fix)
    # With another split its networks have seen images that this fold validates.
    facts = {"name": folder.name, "fold": fold, "split": split_sha256}
    require_of(source, "test", index, ids, facts, (fix, data_fix(name, folder.name, fix)))
    return source


def _choose_labels(card: Card, source: Predictions, selection: _Selection) -> None:
    for ids, probabilities, _ in source:
        targets, certainty = label_targets(
            probabilities, card.task, selection.confidence, soft=card.soft
        )
        selection.add(ids, targets, certainty)


def _write_masks(
    context: Context, card: Card, source: Predictions, selection: _Selection, path: Path
) -> None:
    """Write the masks of the images that are taken, at the stored size of their own section."""
    paths, classes = context.paths, mask_classes(card)
    format = Store(require(paths.processed, "preprocess", context.name), "test").format
    shape = (card.planes, format.height, format.width)
    stored = replace(source.header, shape=shape, fit=format.fit)
    more = format.planes - card.planes  # a plane of unknown pixels, of which there are none

    def rows() -> Iterator[StoredImage]:
        for ids, probabilities, originals in same_size(source, source.header, stored):
            masks, certainty = mask_targets(probabilities, originals, format.fit, classes)
            masks = np.pad(masks, ((0, 0), (0, more), (0, 0), (0, 0)))
            for number in selection.add(ids, np.empty((len(ids), 0)), certainty):
                mask = pack_mask(masks[number])
                yield StoredImage(ids[number], b"", mask, *originals[number].tolist())

    # Images without bytes: a JPEG may have any number of them.
    write_shard(path, rows(), replace(format, image="jpeg"))


def _require_some(selection: _Selection, source: Predictions) -> None:
    """Raise DataError if there are no pseudo-labels: the training would be that without them."""
    if not selection.ids:
        copies = len(selection.copies)
        raise DataError(
            "no test image is predicted with the confidence of pseudo_labels",
            file=source.path,
            found=f"{selection.greatest:.4f} at most"
            + (f"; {copies} of the images are training images" if copies else ""),
            expected=f"{selection.confidence} or more",
            fix="lower confidence in pseudo_labels, or remove that entry",
        )


def _shown_counts(targets: NDArray[Any], card: Card) -> str:
    """Return how many images each class has, the commonest first; "" for other tasks."""
    if targets.dtype.kind != "i":
        return ""
    common = Counter(targets.tolist()).most_common(8)
    more = f" and {rest} classes more" if (rest := len(np.unique(targets)) - len(common)) else ""
    return f": {', '.join(f'{card.classes[number]} {count}' for number, count in common)}{more}"
