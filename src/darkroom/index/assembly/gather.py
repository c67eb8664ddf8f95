"""Gather the rows of one image, and the labels that rows of an image and a label name."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import overload

from darkroom.errors import DataError
from darkroom.index.assembly.labels import class_labels, refuse_no_names
from darkroom.index.assembly.part import Part, template_cells
from darkroom.project.names import nearest_name
from darkroom.raw.tables import check_unique, refuse_rows


@dataclass(frozen=True)
class Gathered:
    """The images of a part, each with the positions of its rows.

    Attributes:
        ids: In the order of their first rows.
        places: Of each image's rows.
    """

    ids: list[str]
    places: Sequence[Sequence[int]]

    @property
    def first(self) -> Sequence[int]:
        """The position of each image's first row."""
        if isinstance(self.places, _Alone):
            return range(len(self.places))
        return [several[0] for several in self.places]


class _Alone(Sequence[Sequence[int]]):
    """The positions of rows of which each is the only one of its image: (0,), (1,), ..."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Sequence[int]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sequence[int]]: ...
    def __getitem__(self, place: int | slice) -> Sequence[int] | Sequence[Sequence[int]]:
        places = range(self._count)[place]
        return (places,) if isinstance(places, int) else [(each,) for each in places]


def gather(part: Part) -> Gathered:
    """Return the rows of each image.

    Raises:
        DataError: Rows of one id are of different images or groups.
    """
    if len(set(part.ids)) == len(part.ids):
        return Gathered(part.ids, _Alone(len(part.ids)))
    places: dict[str, list[int]] = {}
    for place, name in enumerate(part.ids):
        places.setdefault(name, []).append(place)
    for what, cells in (("images", part.images), ("groups", part.groups)):
        odd = [
            place
            for several in places.values()
            for place in several
            if cells[place] != cells[several[0]]
        ]
        what = f"rows of one id that are of different {what}"
        fix = f"set data.{part.key}.id to what each image has of its own: a column, or a template"
        refuse_rows(part.table, odd, what, expected="one image and one group for each id", fix=fix)
    return Gathered(list(places), list(places.values()))


def refuse_repeats(part: Part, gathered: Gathered, cells: Callable[[int], object]) -> None:
    """Raise for images with several rows, unless these have the same cells: then count them.

    Args:
        part: Its rows.
        gathered: Its images.
        cells: From a row's position, what must be the same.

    Raises:
        DataError: Rows of an image differ; the message lists them.
    """
    for several in gathered.places if len(gathered.ids) < len(part.ids) else ():
        if len(several) > 1 and any(cells(place) != cells(several[0]) for place in several):
            check_unique(part.ids, part.table.lines, part.table.file)
        if len(several) > 1:
            part.counts[f"{part.key} rows that repeat another"] += len(several) - 1


def label_vocabulary(part: Part, order: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the labels of a part's rows: as `order` has them, the rest by number or text.

    Raises:
        DataError: A row of the table names no label.
    """
    if part.rows.label is None:
        return ()
    cells = template_cells(part.table, part.rows.label, f"data.{part.key}.label")
    empty = [place for place, cell in enumerate(cells) if not cell and place not in part.blank]
    refuse_rows(part.table, empty, f"label {part.rows.label} is empty", expected="a label a row")
    refuse_no_names(part.table, cells, f"label {part.rows.label}")
    labels = class_labels(cells, f"label {part.rows.label}", part.table.file)
    first = [label for label in order if label in labels]
    return (*first, *(label for label in labels if label not in first))


def label_cells(part: Part, labels: Collection[str]) -> list[str]:
    """Return the label of each row, "" for files that no row names.

    Raises:
        DataError: A row names a label that training does not have; the message has the nearest.
    """
    if part.rows.label is None:
        return ["" for _ in part.ids]
    cells = template_cells(part.table, part.rows.label, f"data.{part.key}.label")
    unknown = set(labels)
    odd = [
        place for place, cell in enumerate(cells) if cell not in unknown and place not in part.blank
    ]
    if odd:
        refuse_unknown(part, odd, cells[odd[0]], labels, f"label {part.rows.label}")
    return cells


def refuse_unknown(
    part: Part, places: Sequence[int], cell: str, labels: Collection[str], what: str
) -> None:
    """Raise DataError for rows with a label that training does not have."""
    raise DataError(
        f"{what} holds {cell!r}, which no training row has",
        file=part.table.file,
        row=part.table.lines[places[0]],
        found=f"{len(places)} of {len(part.table.rows)} rows",
        expected=f"one of {', '.join(sorted(labels))[:200]}",
        fix=f"is it {nearest_name(cell, labels)!r}? Correct the cell, or leave its rows out by "
        f"data.{part.key}.where",
    )
