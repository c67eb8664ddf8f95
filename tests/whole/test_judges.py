"""The out-of-fold score is what the judge gives for the same predictions, to six digits.

The validation images of a drawn contest are listed as its test images, and their rows of the
training table are the judge's truth. The network is the same, so the submission holds the
predictions that `evaluate` scored.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks import contests
from tests.support.contests import needs_contests

Key = Callable[[str], str]


def _whole(cell: str) -> str:
    return cell


@dataclass(frozen=True)
class Mirror:
    """How a training table becomes a judge's truth.

    Attributes:
        table: The training table.
        columns: The truth's columns, of the table's.
        key: From the first cell of a row to the id of its image.
        lists: Whether the test part has a table of its own.
        metric: The name in metrics.json.
    """

    table: str = "train.csv"
    columns: dict[str, str] = field(default_factory=dict)
    key: Key = _whole
    lists: bool = False


MIRRORS = {
    "airbus": Mirror("train_ship_segmentations_v2.csv"),
    "aptos": Mirror(),
    "cactus": Mirror(),
    "csiro": Mirror(key=lambda cell: cell.split("__")[0], lists=True),
    "dsb2018": Mirror("stage1_train_labels.csv.zip"),
    "humpback": Mirror(),
    "iwildcam_2019": Mirror(columns={"id": "Id", "category_id": "Category"}, lists=True),
    "pawpularity": Mirror(columns={"Id": "Id", "Pawpularity": "Pawpularity"}),
    "planet": Mirror("train_v2.csv.zip"),
    "plant_pathology_2020": Mirror(),
    "plant_pathology_2021": Mirror(),
    "protein_atlas": Mirror(columns={"Id": "Id", "Target": "Predicted"}),
    "rsna_haemorrhage": Mirror("stage_2_train.csv", key=lambda cell: cell.split("_")[1]),
    "severstal": Mirror(key=lambda cell: cell.rsplit("_", 1)[0]),
    "siim_pneumothorax": Mirror("stage_2_train.csv"),
    "sorghum": Mirror(
        "train_cultivar_mapping.csv", columns={"image": "filename", "cultivar": "cultivar"}
    ),
    "uw_madison": Mirror(columns={"id": "id", "class": "class", "segmentation": "predicted"}),
}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small"), needs_contests]


@pytest.mark.parametrize(
    "name",
    [
        each
        if each in ("plant_pathology_2021", "severstal")
        else pytest.param(each, marks=pytest.mark.long)
        for each in MIRRORS
    ],
)
def test_the_local_score_is_the_judges(tmp_path: Path, name: str) -> None:
    local, judged = scores(name, tmp_path)
    assert local == pytest.approx(judged, abs=1e-6)


def scores(name: str, work: Path) -> tuple[float, float]:
    """Return the out-of-fold score, and the judge's for the same predictions."""
    contest, mirror = contests.load_contest(name), MIRRORS[name]
    contest.draw(work, 0)
    params = contests.parameters(
        contests.RECIPE_OF[name], work / "raw", contests.DRAWN_OTHERWISE.get(name, {})
    )
    (section,) = params["competitions"]
    assert contests.run_stages(params, work, verbs=("fetch", "index", "split")) == ""
    split = pd.read_csv(work / f"data/start/{section}/split.csv", dtype=str)
    data = params[section]["data"]
    data["test"], data["like"] = _mirror(work, mirror, set(split.id[split.fold == "0"]), data)
    assert contests.run_stages(params, work) == ""
    report = json.loads((work / f"reports/{section}/metrics.json").read_text())["validation"]
    judged = contest.judge(work / f"submissions/{section}.csv.gz", work / "mirrored")
    return report[data["metric"]], judged


def _mirror(
    work: Path, mirror: Mirror, ids: set[str], data: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Write the judge's truth and a sample submission; return the keys `test` and `like`."""
    rows = pd.read_csv(work / "raw" / mirror.table, dtype=str, keep_default_na=False)
    first = "id" if "id" in mirror.columns else rows.columns[0]
    rows = rows[rows[first].map(mirror.key).isin(ids)]
    truth = rows.rename(columns=mirror.columns)[list(mirror.columns.values()) or rows.columns]
    if mirror.lists and not mirror.columns:
        truth = rows[[rows.columns[0], rows.columns[-1]]]
    (work / "mirrored").mkdir()
    truth.to_csv(work / "mirrored/truth.csv", index=False)
    truth.to_csv(work / "raw/mirror.csv", index=False)
    if mirror.lists:
        rows.to_csv(work / "raw/mirrored.csv", index=False)
        return {"table": "mirrored.csv"}, "mirror.csv"
    train = data["train"]
    image = train.get("image") or train["files"]
    fields = mirror.columns | ({"id": "ImageId"} if "files" in train else {})
    for old, new in fields.items():
        image = _renamed(image, old, new)
    return {"image": image}, "mirror.csv"


def _renamed(image: Any, old: str, new: str) -> Any:
    if isinstance(image, list):
        return [_renamed(each, old, new) for each in image]
    return image.replace(f"{{{old}}}", f"{{{new}}}")
