"""Draw an imitation of a competition with few labels and many test images.

Its files have some hundred images, and the judge some fifty answers: with these, chance decides
which of two networks is better. The test images of several drawings are one test set here, and
their answers are those of one judge. Of the training images some rows may be left.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

APART = 1000  # between the seeds of drawings whose test images come together


def draw_larger(
    contest: ModuleType, data: Mapping[str, Any], folder: Path, seed: int, drawings: int
) -> None:
    """Draw a contest with the test images of several drawings.

    Args:
        contest: Its module. Its test images lie in a folder of their own, under names that differ
            from drawing to drawing.
        data: That of its recipe.
        folder: Where raw and answers are written.
        seed: Of the drawing that has the training images too.
        drawings: How many.

    Raises:
        ValueError: The contest's files are not of that kind.
    """
    contest.draw(folder, seed)
    for number in range(1, drawings):
        with tempfile.TemporaryDirectory() as more:
            contest.draw(Path(more), seed + APART * number)
            _add_test(Path(more), folder, contest.SAMPLE, data["test"])


def _add_test(more: Path, folder: Path, sample: str, test: Mapping[str, Any]) -> None:
    """Add the test images of another drawing, their rows and their answers."""
    pattern = test.get("image") or ""
    first = pattern.split("/")[0] if isinstance(pattern, str) else ""
    if not (first and "{" not in first and (more / "raw" / first).is_dir()):
        raise ValueError(f"no folder of test images: {pattern!r}")
    for path in sorted((more / "raw" / first).rglob("*")):
        place = folder / path.relative_to(more)
        if path.is_file():
            if place.exists():
                raise ValueError(f"two drawings have a test image {path.name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    tables = {f"raw/{sample}", f"raw/{test.get('table', sample)}", "answers/truth.csv"}
    for name in sorted(tables):
        if (more / name).is_file():  # the name of a table may be that of its archive's member
            parts = [pd.read_csv(base / name, dtype=str, keep_default_na=False)
                     for base in (folder, more)]  # fmt: skip
            pd.concat(parts).to_csv(folder / name, index=False, lineterminator="\n")


def keep_rows(raw: Path, train: Mapping[str, Any], rows: int, seed: int) -> None:
    """Leave the images of that many rows, drawn, among the training images.

    Args:
        raw: The folder of raw files.
        train: `data.train` of the recipe: its table is a CSV file, with a row an image, or of
            `cells` with one a label, `<image>_<label>`; or the images lie in a folder a class.
        rows: How many images.
        seed: Of the choice.

    Raises:
        ValueError: The training images are not of that kind.
    """
    draw = np.random.default_rng(seed)
    table = train.get("table")
    if table is None:
        (first,) = {str(value).split("/")[0] for value in (train.get("files"),) if value}
        paths = sorted(path for path in (raw / first).rglob("*") if path.is_file())
        numbers = set(draw.permutation(len(paths))[:rows].tolist())
        for number, path in enumerate(paths):
            if number not in numbers:
                path.unlink()
        return
    path = raw / (table if isinstance(table, str) else table["table"])
    if path.suffix != ".csv" or not path.is_file():
        raise ValueError(f"{path.name} is no CSV file")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    images = frame[frame.columns[0]]
    if train.get("cells"):
        images = images.str.rsplit("_", n=1).str[0]
    kept = draw.permutation(images.unique())[:rows]
    frame[images.isin(kept)].to_csv(path, index=False, lineterminator="\n")
