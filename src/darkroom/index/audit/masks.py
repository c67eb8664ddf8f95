"""What an audit says of masks: how much they cover, and which are missing or odd."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.index.card import Card

MOST_LISTED = 20

Report = dict[str, Any]


def mask_report(train: pd.DataFrame, card: Card) -> Report:
    """Return how much of the training images the masks cover, ready for JSON.

    Args:
        train: Columns id, fold, height, width, mask_values and mask_pixels, as `FACTS` has
            them.
        card: The mask classes.

    Returns:
        For one class: images, without, values, empty, full, share. For several, in place of the
        share: classes, each with its images and share, and the images of each by fold. Where
        pixels may be unknown, their share.
    """
    cells = train["mask_pixels"].fillna("-1").astype(str)
    has_mask = ~cells.str.startswith("-")
    masked = train[has_mask]
    planes = card.planes + card.unknown
    pixels = np.array(" ".join(cells[has_mask]).split(), np.float64).reshape(-1, planes)
    area = (masked["height"] * masked["width"]).to_numpy(np.float64)[:, None]
    covered, shares = pixels[:, : card.planes], pixels / area
    report: Report = {
        "images": len(masked),
        "without": listed(train.loc[~has_mask, "id"]),
        "values": _values(masked),
        "empty": listed(masked.loc[(covered == 0).all(axis=1), "id"]),
        "full": listed(masked.loc[(covered == area).any(axis=1), "id"]),
    }
    if card.unknown:
        report["unknown"] = _spread(shares[:, -1])
    if card.planes == 1:
        return report | {"share": _spread(shares[:, 0])}
    folds = masked["fold"].to_numpy()
    report["classes"] = {
        name: {
            "images": int(np.count_nonzero(covered[:, k])),
            "share": _spread(shares[:, k]),
            "images_by_fold": {
                str(fold): int(np.count_nonzero(covered[folds == fold, k]))
                for fold in np.unique(folds)
            },
        }
        for k, name in enumerate(card.targets)
    }
    return report


def listed(ids: "pd.Series[str]") -> Report:
    """Return how many ids there are, and the first of them."""
    return {"count": len(ids), "first": sorted(ids)[:MOST_LISTED]}


def rounded(value: float) -> float | None:
    """Return a number with six digits after the point; None if it is not finite."""
    return round(float(value), 6) if np.isfinite(value) else None


def _values(masked: pd.DataFrame) -> dict[str, int]:
    """Return how many masks have each raw values; one of several parts may have several."""
    if "mask_values" not in masked:
        return {}
    values = masked["mask_values"].astype(str).str.split("|").explode()
    counts = values[values != "-1"].value_counts()
    return {str(value): int(count) for value, count in sorted(counts.items())}


def _spread(shares: NDArray[np.float64]) -> Report:
    if not len(shares):
        return dict.fromkeys(("mean", "smallest", "largest"))
    return {
        "mean": rounded(shares.mean()),
        "smallest": rounded(shares.min()),
        "largest": rounded(shares.max()),
    }
