"""What is said of new pictures, on disk: a table of answers and probabilities, or masks."""

import csv
import gzip
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import chain, count
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from darkroom.deploy.predictor import Predictor
from darkroom.errors import DataError
from darkroom.images import sheets
from darkroom.images.class_pictures import draw_masks
from darkroom.images.codec import Pixels
from darkroom.images.geometry import cv2
from darkroom.project import files
from darkroom.raw.images.reader import paths_of
from darkroom.submission.form import label_texts

Floats = NDArray[np.float32]
Rows = tuple[list[str], list[str] | None, Floats]
"""Names, answers (None: the values are the answer) and probabilities (N, K) of N pictures."""

TABLE_SUFFIXES = (".csv", ".csv.gz", ".parquet")
BETWEEN_LABELS = "|"
NAME = "image"
_MOST_BYTES = 245  # of a file's name and ending, before a number; file systems take 255
_ANSWER = {"multilabel": "labels", "regression": "grade"}  # of other tasks: label


class AnswerTable:
    """A context manager that writes a table: a row a picture, which appears once it is complete.

    Columns are `image`; `label` (`labels` of several, with | between them; `grade` of a regression
    with cuts, none without); and the probability of each label or class, or each value.

    Args:
        path: `.csv`, `.csv.gz` or `.parquet`.
        predictor: Whose decision turns probabilities into answers.
    """

    def __init__(self, path: Path, predictor: Predictor) -> None:
        self._path, self._predictor = path, predictor
        card = predictor.beside.card if predictor.beside else None
        self._labels = label_texts(card) if card else predictor.names
        self._flags = card.label_values if card else ("0", "1")
        task = predictor.task
        has_answers = task != "regression" or bool(predictor.decision.cuts)
        taken = [NAME, *([_ANSWER.get(task, "label")] if has_answers else [])]
        self.header = [*taken, *(_free(name, taken) for name in self._labels)]
        self._has_answers = has_answers
        self._stack = ExitStack()
        self._add: Callable[[Rows], None]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            part = stack.enter_context(files.atomic_write(self._path))
            if self._path.name.endswith(".parquet"):
                self._add = self._parquet(part, stack)
            else:
                self._add = self._csv(part, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, names: list[str], probabilities: Floats) -> None:
        """Add the rows of some pictures, from predictions float32 (N, K)."""
        answers = self._answers(probabilities) if self._has_answers else None
        self._add((names, answers, probabilities))

    def _answers(self, probabilities: Floats) -> list[str]:
        predictor = self._predictor
        answers = predictor.decision.answers(predictor.task, probabilities)
        match predictor.task:
            case "multiclass":
                return [self._labels[number] for number in answers]
            case "multilabel":
                chosen = (np.flatnonzero(row) for row in answers)
                return [BETWEEN_LABELS.join(self._labels[k] for k in each) for each in chosen]
            case "binary":
                return [self._flags[int(row[0])] for row in answers]
        return [str(int(grade)) for grade in answers]

    def _csv(self, part: Path, stack: ExitStack) -> Callable[[Rows], None]:
        sink: Any = stack.enter_context(part.open("wb"))
        if self._path.name.endswith(".gz"):  # without name and time: the same rows, the same bytes
            sink = stack.enter_context(gzip.GzipFile("", "wb", fileobj=sink, mtime=0))
        text = stack.enter_context(io.TextIOWrapper(sink, "utf-8", newline=""))
        table = csv.writer(text, lineterminator="\n")
        table.writerow(self.header)

        def add(rows: Rows) -> None:
            names, answers, values = rows
            for number, (name, row) in enumerate(zip(names, values, strict=True)):
                answer = [] if answers is None else [answers[number]]
                # The fewest digits that read back to the same float32.
                numbers = [np.format_float_positional(value, trim="-") for value in row]
                table.writerow([name, *answer, *numbers])

        return add

    def _parquet(self, part: Path, stack: ExitStack) -> Callable[[Rows], None]:
        texts = len(self.header) - len(self._labels)
        kinds = [pa.string()] * texts + [pa.float32()] * len(self._labels)
        schema = pa.schema([*zip(self.header, kinds, strict=True)])
        table = stack.enter_context(pyarrow.parquet.ParquetWriter(part, schema))

        def add(rows: Rows) -> None:
            names, answers, values = rows
            columns = [names, *([] if answers is None else [answers]), *values.T]
            arrays = [pa.array(each, kind) for each, kind in zip(columns, kinds, strict=True)]
            table.write_batch(pa.record_batch(arrays, schema=schema))

        return add


class MaskFolder:
    """A context manager that writes a folder of masks, which appears once it is complete.

    `a/b.jpg` becomes `a/b.png`: of one class 0 and 255; of exclusive classes the values of the
    raw masks (without them 0 for none, 1 for the first ...). Of classes that may overlap each has
    a file of its own, `a/b_CLASS.png`. A picture with its masks drawn is `a/b_overlay.jpg`.

    Args:
        path: The folder; an existing one is replaced.
        predictor: Whose classes these are.
        names: Of all pictures that may come. Where two have one path but for their suffix, files
            keep it: `a/b.jpg.png`; where they would have one still, later ones get numbers.
    """

    def __init__(self, path: Path, predictor: Predictor, names: Sequence[str]) -> None:
        self._path = path
        card = predictor.beside.card if predictor.beside else None
        self._classes = [re.sub(r"[^\w.-]+", "_", name) for name in predictor.names]
        if len(set(self._classes)) < len(self._classes):
            self._classes = [f"{number}_{name}" for number, name in enumerate(self._classes)]
        self._values: list[int] | None = None
        if predictor.mask_classes.exclusive:
            value_of = {name: value for value, name in card.values} if card else {}
            first = int(predictor.mask_classes.background)
            names_ = enumerate(predictor.names, first)
            self._values = [value_of.get(name, number) for number, name in names_]
        is_one = self._values is not None or len(self._classes) == 1
        masks = [""] if is_one else [f"_{each}" for each in self._classes]
        self._stems = _unique_stems(names, [*(f"{each}.png" for each in masks), "_overlay.jpg"])
        self._folder = files.atomic_folder(path)
        self._part = path

    def __enter__(self) -> Self:
        self._part = self._folder.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.__exit__(kind, error, trace)

    def write(self, name: str, masks: NDArray[np.bool_]) -> None:
        """Write the masks (K, H, W) of a picture."""
        if self._values is not None:
            values = np.asarray(self._values, np.uint16 if max(self._values) > 255 else np.uint8)
            self._png(name, "", (masks * values[:, None, None]).max(axis=0))
        elif len(masks) == 1:
            self._png(name, "", masks[0].astype(np.uint8) * np.uint8(255))
        else:
            for each, mask in zip(self._classes, masks, strict=True):
                self._png(name, f"_{each}", mask.astype(np.uint8) * np.uint8(255))

    def draw(self, name: str, picture: Pixels, masks: NDArray[np.bool_]) -> None:
        """Write a picture uint8 (H, W, C) with its masks (K, H, W) drawn on it."""
        drawn = draw_masks(picture, masks.view(np.uint8), len(masks))
        sheets.write_jpeg(self._file(name, "_overlay.jpg"), drawn)

    def _png(self, name: str, suffix: str, pixels: NDArray[Any]) -> None:
        _, data = cv2.imencode(".png", np.ascontiguousarray(pixels))
        self._file(name, f"{suffix}.png").write_bytes(data.tobytes())

    def _file(self, name: str, suffix: str) -> Path:
        stem = self._stems[name]
        path = self._part / stem.with_name(f"{stem.name}{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _unique_stems(names: Iterable[str], endings: Sequence[str]) -> dict[str, PurePosixPath]:
    """Return the path of each picture's results without their endings; no two share a file.

    Example:
        >>> stems = _unique_stems(["a.jpg", "b.jpg", "b.png", "../b.png"], [".png"])
        >>> [stem.as_posix() for stem in stems.values()]
        ['a', 'b.jpg', 'b.png', 'b.png_2']
        >>> [stem.as_posix() for stem in _unique_stems(["a.jpg", "a.png/b.png"], [".png"]).values()]
        ['a.jpg', 'a.png/b']
    """
    most_bytes = _MOST_BYTES - max(len(os.fsencode(ending)) for ending in endings)
    paths = {name: _shortened(_relative(name), most_bytes) for name in names}
    counts = Counter(path.with_suffix("") for path in paths.values())
    stems = dict[str, PurePosixPath]()
    # A folder may be called like a file: that of "a.jpg" beside "a.png/b.png".
    results = {folder for path in paths.values() for folder in path.parents}
    for name, path in paths.items():
        bare = path.with_suffix("")
        first = [bare, path] if counts[bare] == 1 else [path]
        numbered = (path.with_name(f"{path.name}_{number}") for number in count(2))
        for stem in chain(first, numbered):
            own = {stem.with_name(f"{stem.name}{ending}") for ending in endings}
            if results.isdisjoint(own):
                break
        results |= own
        stems[name] = stem
    return stems


def _shortened(path: PurePosixPath, most_bytes: int) -> PurePosixPath:
    """Return a path whose name has so many bytes at most.

    Example:
        >>> _shortened(PurePosixPath("a/bé.jpg"), 2).as_posix()
        'a/b'
    """
    data = os.fsencode(path.name)
    if len(data) <= most_bytes:
        return path
    return path.with_name(data[:most_bytes].decode(errors="ignore"))


def _relative(name: str) -> PurePosixPath:
    """Return the path below a folder of results that a picture's name means.

    Example:
        >>> _relative("../day 1/a.jpg").as_posix(), _relative('["b/red.png", "b/blue.png"]').name
        ('day 1/a.jpg', 'red.png')
        >>> _relative("//server/a.jpg").as_posix()
        'server/a.jpg'
    """
    try:
        path = (paths_of(name) or [name])[0]
    except DataError:  # no list of paths, and no picture
        path = name
    parts = PurePosixPath(path).parts
    # A root may be "//", too: with one, the path would lead out of the folder.
    below = [part for part in parts if part.strip("/") and part not in ("..", ".")]
    return PurePosixPath(*below or ("picture",))


def _free(name: str, taken: Sequence[str]) -> str:
    """Return a column's name that is not taken."""
    while name in taken:
        name = f"{name}_"
    return name
