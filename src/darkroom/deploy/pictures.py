"""Predict new pictures, of a folder, an archive or a table of paths: a batch at a time."""

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from darkroom.deploy.outputs import AnswerTable, MaskFolder
from darkroom.deploy.predictor import Predictor
from darkroom.deploy.preparation import PreparedImage, path_kind, try_reading
from darkroom.errors import DataError, one_line
from darkroom.project.names import CONTAINER_SUFFIXES, path_fault
from darkroom.project.processes import map_ahead
from darkroom.raw.archives import Archives
from darkroom.raw.images import dicom
from darkroom.raw.images.reader import ImageReader, paths_of
from darkroom.raw.tables import Table, read_table
from darkroom.raw.tables.table import EmptyTableError

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".npy", ".npz"),
    *dicom.SUFFIXES,
)
"""Of the pictures of a folder, in lower case; other files are left out."""
TABLES = (".csv", ".tsv", ".txt", ".parquet", ".json", ".csv.gz", ".tsv.gz", ".csv.zip")

_UNFINISHED = re.compile(r"/\.[^/]+\.part/")  # results of this run and of others
_CORRECT = "correct or replace these files, or the paths in the table"
_TRIED = 16  # rows of a table that say which column holds paths


class Picture(NamedTuple):
    """A picture to predict.

    Attributes:
        name: By which results name it: its path in the folder, or the table's cell.
        image: As its reader takes it.
        archives: The containers that it lies in.
    """

    name: str
    image: str
    archives: Archives


class NewPictures(NamedTuple):
    """The pictures of a folder, an archive or a table.

    Attributes:
        pictures: Sorted by name, or in the order of the table.
        others: The names of files that are no pictures.
        errors: A line for each file of a folder that can't be read safely: a link to a folder, a
            pipe, a name that is not UTF-8.
    """

    pictures: list[Picture]
    others: list[str]
    errors: list[str]


def find_pictures(where: Path, scratch: Path) -> NewPictures:
    """Return the pictures of a folder at any depth, of an archive, of a table, or one alone.

    Args:
        where: The folder, archive, table or picture. Of a table, the first column counts that
            holds the path of a file; paths are absolute, or relative to the table's folder.
        scratch: Where large archives are unpacked.

    Raises:
        DataError: There are no pictures, or the table names none.
    """
    where = where.resolve() if where.name == ".." else where.absolute()
    if fault := path_fault(where.name):
        raise DataError(
            "this name can't be read safely", file=where, found=fault, fix="rename it, or move it"
        )
    suffix = where.name.lower()
    if where.is_file() and suffix.endswith(TABLES):
        return NewPictures(_of_table(where, scratch), [], [])
    faults: dict[str, list[DataError]] = {}
    archives = Archives(where.parent, scratch, errors=faults)
    if where.is_dir() or suffix.endswith(CONTAINER_SUFFIXES):
        paths = [path for path in archives.paths(where.name) if not _UNFINISHED.search(path)]
    else:
        paths = [where.name]
    prefix = f"{where.name}/"
    errors = [one_line(error) for error in faults.get(where.name, [])]
    pictures = [
        Picture(path.removeprefix(prefix), path, archives)
        for path in paths
        if path.lower().endswith(SUFFIXES)
    ]
    if not pictures:
        raise DataError(
            "there are no pictures here",
            file=where,
            found=f"{len(paths)} other files",
            expected=f"files that end in {', '.join(SUFFIXES)}",
            fix="put pictures there, or name another folder, archive or table",
            details=errors,
        )
    others = [path.removeprefix(prefix) for path in paths if not path.lower().endswith(SUFFIXES)]
    return NewPictures(pictures, others, errors)


def _of_table(file: Path, scratch: Path) -> list[Picture]:
    """Return the pictures whose paths stand in a column of a table."""
    roots: dict[Path, Archives] = {}

    def picture(cell: str) -> Picture:
        root, image = _locate(cell, file.parent)
        archives = roots.get(root) or roots.setdefault(root, Archives(root, scratch, errors={}))
        return Picture(cell, image, archives)

    try:
        table = read_table(picture(file.name).archives, file.name)
    except EmptyTableError:
        raise DataError(
            "this table lists no pictures",
            file=file,
            found="a header and no rows",
            expected="a row a picture",
            fix="list their paths in a column, or name their folder in place of the table",
        ) from None
    return [picture(cell) for cell in table.names(_path_column(table, picture))]


def _locate(cell: str, folder: Path) -> tuple[Path, str]:
    """Return the folder from which an image's files are read, and the image as a reader takes it.

    It is the table's folder, unless paths lead out of it; of these the deepest that holds them,
    an archive not being one. A cell may hold anything: no folder may be called so.
    """
    try:
        paths = paths_of(cell)
        if not any(Path(path).is_absolute() or ".." in Path(path).parts for path in paths):
            return folder, cell
        whole = [_whole_path(folder / path) for path in paths]
    except (DataError, ValueError):  # its reader names it
        return folder, cell
    root = Path(os.path.commonpath([path.parent for path in whole]))
    while path_kind(root) != "folder" and root != root.parent:
        root = root.parent
    members = [path.relative_to(root).as_posix() for path in whole]
    return root, members[0] if len(members) == 1 else json.dumps(members)


def _whole_path(path: Path) -> Path:
    """Return an absolute path without `..`; the file's own link stays, as DVC's hides a suffix."""
    if ".." not in path.parts:
        return path
    return Path(os.path.realpath(path.parent), path.name)  # unlike Path.resolve: loops may stay


def _path_column(table: Table, picture: Callable[[str], Picture]) -> str:
    """Return the first column of which one of the first cells names a file.

    Raises:
        DataError: There is none.
    """
    for place, name in enumerate(table.header):
        if any(_is_file(picture(row[place])) for row in table.rows[:_TRIED]):
            return name
    first = dict(zip(table.header, table.rows[0], strict=True)) if table.rows else {}
    raise DataError(
        "no column of this table holds paths of pictures",
        file=table.file,
        row=table.lines[0] if table.rows else None,
        found=", ".join(f"{name}: {cell!r}" for name, cell in first.items())[:300] or "no rows",
        expected="a column of paths, absolute or from the table's folder on",
        fix="correct the paths, or put the table beside the pictures",
    )


def _is_file(picture: Picture) -> bool:
    """Return whether a cell names files, which may lie in an archive."""
    try:
        paths = paths_of(picture.image)
        if all(path and (picture.archives.root / path).is_file() for path in paths):
            return bool(paths)
        is_in_archive = any(end in picture.image for end in CONTAINER_SUFFIXES)
        return is_in_archive and picture.archives.has(picture.image)
    except (DataError, OSError, ValueError):  # no path at all: a long text, say
        return False


def predict_pictures(
    predictor: Predictor,
    pictures: Sequence[Picture],
    out: Path,
    progress: Callable[[int], object],
    *,
    overlay: bool = False,
) -> list[str]:
    """Predict pictures, and write what is said of those that can be read.

    Args:
        predictor: Of the models.
        pictures: Of `find_pictures`.
        out: A table (.csv, .csv.gz, .parquet) of labels, classes or values; of masks a new folder.
            It appears under its name once complete.
        progress: Called with the number of pictures that are done.
        overlay: Whether to draw masks on their pictures, too.

    Returns:
        A line for each picture that cannot be read, and is left out.

    Raises:
        DataError: No picture can be read.
    """
    size, errors = predictor.choice.batch_size, list[str]()
    readers = _readers(predictor, pictures)
    accepted: deque[Picture] = deque()

    def read(picture: Picture) -> tuple[PreparedImage, ...] | DataError:
        own = readers[id(picture.archives)]
        return try_reading(predictor.preparations, own, picture.image, picture.name)

    def prepared() -> Iterator[tuple[PreparedImage, ...]]:
        for picture, images in zip(pictures, map_ahead(read, pictures, 2 * size), strict=True):
            if not isinstance(images, DataError):
                accepted.append(picture)
                yield images
                continue
            errors.append(_line(picture, images))
            progress(1)
        if len(errors) == len(pictures):
            raise DataError("none of the pictures can be read", details=errors, fix=_CORRECT)

    predictions = predictor.predictions(prepared())
    if predictor.task != "segmentation":
        with AnswerTable(out, predictor) as table:
            for ids, probabilities, _ in predictions:
                table.write(ids, probabilities)
                progress(len(ids))
        return errors
    with MaskFolder(out, predictor, [picture.name for picture in pictures]) as folder:
        for prediction in predictions:
            for planes in predictor.restored(prediction):
                picture, masks = accepted.popleft(), predictor.masks(planes)
                folder.write(picture.name, masks)
                if overlay:
                    whole = readers[id(picture.archives)][0].read(picture.image)
                    folder.draw(picture.name, whole.pixels, masks)
                progress(1)
    return errors


def _line(picture: Picture, error: DataError) -> str:
    """Return a line that names a picture, and says why it cannot be read."""
    with suppress(DataError):
        for path in paths_of(picture.image):
            whole = picture.archives.root / path
            kinds = [path_kind(parent) for parent in whole.parents]
            if not kinds[0] and not {"file", "unknown"} & {*kinds}:  # nor a member of an archive
                error = DataError(
                    "no such file",
                    file=picture.name,
                    expected="a path, absolute or from the table's folder on",
                    fix="correct it, or remove its row",
                )
                break
    line = one_line(error)
    return line if one_line(picture.name) in line else one_line(f"{picture.name}: {line}")


def _readers(predictor: Predictor, pictures: Sequence[Picture]) -> dict[int, list[ImageReader]]:
    """Return the readers of each `Archives`, by its id: one for each preparation."""
    images_of: dict[int, tuple[Archives, list[str]]] = {}
    for picture in pictures:
        _, images = images_of.setdefault(id(picture.archives), (picture.archives, []))
        with suppress(DataError):  # no list of paths: an error of this picture alone
            images += [picture.image] if paths_of(picture.image) else []
    return {
        key: [each.reader(archives, images) for each in predictor.preparations]
        for key, (archives, images) in images_of.items()
    }
