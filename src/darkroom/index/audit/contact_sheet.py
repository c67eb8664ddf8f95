"""The contact sheet of an audit: a few images of the data set under its main counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from darkroom.images import class_pictures, sheets
from darkroom.images.sheets import Pixels

MOST_WARNINGS = 4
MOST_LABELS = 4
GOLDEN = (5**0.5 - 1) / 2  # its multiples are spread over 0..1 without a period


def choose_rows(rows: pd.DataFrame, count: int, *, by: str | None = None) -> list[int]:
    """Return positions of `count` rows, or of all if there are fewer, in order.

    One comes from each of `count` equal stretches. With `by`, a column of classes, each class has
    an equal share as far as it has so many, and the positions are in order of class.
    """
    if by is None:
        return _spaced(np.arange(len(rows)), count)
    values = rows[by].to_numpy(np.float64)
    classes = np.unique(values[~np.isnan(values)])
    places = [np.flatnonzero(values == each) for each in classes]
    shares = [0] * len(places)
    for _ in range(min(count, sum(map(len, places)))):
        open_ones = [k for k, place in enumerate(places) if shares[k] < len(place)]
        shares[min(open_ones, key=shares.__getitem__)] += 1
    return [at for place, share in zip(places, shares, strict=True) for at in _spaced(place, share)]


def caption(
    row: "pd.Series[Any]",
    *,
    task: str,
    targets: Sequence[str],
    classes: Sequence[str],
    fold: int | None,
) -> str:
    """Return the caption of an index row: its id, its fold (None: test), its targets.

    A row of fold -1, which is never validated, is labelled "train".
    """
    place = "test" if fold is None else "train" if fold < 0 else f"fold {fold}"
    present = [target for target in targets if not pd.isna(row[target])]
    if task == "multiclass":
        values = [classes[int(row[target])] for target in present]
    elif task == "regression":
        names = [f"{target} " if len(targets) > 1 else "" for target in present]
        values = [f"{n}{row[target]:.4g}" for n, target in zip(names, present, strict=True)]
    else:
        values = [target.replace("_", " ") for target in present if row[target] > 0]
        values = values or (["none"] if present else [])
    if task != "multilabel" and not (task == "regression" and len(targets) > 1):
        return f"{row['id']}\n{' · '.join([place, *values])}"
    more = [f"and {len(values) - MOST_LABELS} more"] if len(values) > MOST_LABELS else []
    return "\n".join([row["id"], place, *values[:MOST_LABELS], *more])


def contact_sheet(
    name: str,
    report: dict[str, Any],
    images: Sequence[Pixels],
    masks: Sequence[npt.NDArray[np.uint8] | None],
    captions: Sequence[str],
    classes: Sequence[str] = (),
    *,
    columns: int = 4,
    tile_height: int = 200,
) -> Pixels:
    """Return a page of images, their masks outlined, under the main counts and warnings.

    Args:
        name: Of the competition.
        report: Of darkroom.index.audit.report.
        images: uint8 (H, W, C), of any sizes.
        masks: 0/1 (K, H, W) or None, one an image; with a plane more where pixels are unknown.
        captions: One an image.
        classes: Names of the mask classes, where there are several.
        columns: Images a row.
        tile_height: Pixels.
    """
    tiles = []
    for pair in zip(images, masks, strict=True):
        image, mask = sheets.enlarged(*pair, tile_height)
        shown = image if mask is None else class_pictures.draw_masks(image, mask, len(classes))
        tiles.append(shown)
    has_masks = any(mask is not None for mask in masks)
    warnings = report["warnings"]
    text = [_summary(report), *(f"! {warning}" for warning in warnings[:MOST_WARNINGS])]
    if len(warnings) > MOST_WARNINGS:
        text.append(f"! and {len(warnings) - MOST_WARNINGS} more in the audit")
    return sheets.grid(
        tiles,
        captions,
        columns=columns,
        tile_height=tile_height,
        title=name,
        text=text,
        legend=class_pictures.class_legend(classes) if has_masks and len(classes) > 1 else (),
    )


def _summary(report: dict[str, Any]) -> str:
    counts = report["counts"]["found"]
    parts = [report["task"], f"{counts['train images']:,} train", f"{counts['test images']:,} test"]
    if counts["groups"]:
        parts.append(f"{counts['groups']:,} groups")
    validated = [fold for fold in report["folds"] if fold != "-1"]
    parts.append(f"{len(validated)} fold{'s' if len(validated) != 1 else ''}")
    sizes = report["sizes"]["train"]
    first = sizes["common"][0]
    others = f" and {sizes['different'] - 1} other sizes" if sizes["different"] > 1 else ""
    parts.append(f"{first['width']}×{first['height']} px{others}")
    if "classes" in report.get("masks", {}):
        parts.append(f"{len(report['masks']['classes'])} mask classes")
    elif "masks" in report and report["masks"]["share"]["mean"] is not None:
        parts.append(f"masks cover {report['masks']['share']['mean']:.1%}")
    return " · ".join(parts)


def _spaced(positions: npt.NDArray[np.int64], count: int) -> list[int]:
    if len(positions) <= count:
        return [int(position) for position in positions]
    # Not the middles: of five slices a scan every one would be the same slice.
    offsets = (0.5 + np.arange(count) * GOLDEN) % 1
    places = (np.arange(count) + offsets) * len(positions) / count
    return [int(positions[int(place)]) for place in places]
