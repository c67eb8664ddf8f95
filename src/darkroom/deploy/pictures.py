"""Predict new pictures, of a folder, an archive or a table of paths: a batch at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from darkroom.deploy.outputs import AnswerTable, MaskFolder
from darkroom.deploy.predictor import Predictor
from darkroom.deploy.preparation import PreparedImage, try_reading
from darkroom.errors import DataError, one_line
from darkroom.project.names import CONTAINER_SUFFIXES
from darkroom.project.processes import map_ahead
from darkroom.raw.archives import Archives
from darkroom.raw.images import dicom
from darkroom.raw.images.reader import ImageReader, paths_of
from darkroom.raw.tables import Table, read_table

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".npy", ".npz"),
    *dicom.SUFFIXES,
)
"""Of the pictures of a folder, in lower case; other files are left out."""
TABLES = (".csv", ".tsv", ".txt", ".parquet", ".json", ".csv.gz", ".tsv.gz", ".csv.zip")


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


def find_pictures(where: Path, scratch: Path) -> tuple[list[Picture], list[str]]:
    """Return the pictures of a folder at any depth, of an archive, of a table, or one alone.

    Args:
        where: The folder, archive, table or picture. Of a table, the first column counts that
            holds the path of a file; paths are absolute, or relative to the table's folder.
        scratch: Where large archives are unpacked.

    Returns:
        The pictures, sorted by name or in the order of the table; and the names of other files.

    Raises:
        DataError: There are no pictures, or the table names none.
    """
    where = where.absolute()
    suffix = where.name.lower()
    if where.is_file() and suffix.endswith(TABLES):
        return _of_table(where, scratch), []
    archives = Archives(where.parent, scratch)
    if where.is_dir() or suffix.endswith(CONTAINER_SUFFIXES):
        paths = archives.paths(where.name)
    else:
        paths = [where.name]
    prefix = f"{where.name}/"
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
        )
    others = [path.removeprefix(prefix) for path in paths if not path.lower().endswith(SUFFIXES)]
    return pictures, others


def _of_table(file: Path, scratch: Path) -> list[Picture]:
    """Return the pictures whose paths stand in a column of a table."""
    folder = file.parent
    here = Archives(folder, scratch)
    table = read_table(here, file.name)
    column = _path_column(table, here)
    elsewhere: dict[Path, Archives] = {}
    pictures = []
    for cell in table.names(column):
        path = Path(cell)
        if path.is_absolute() or ".." in path.parts:  # no member of the folder
            parent = (folder / path).parent
            archives = elsewhere.setdefault(parent, Archives(parent, scratch))
            pictures.append(Picture(cell, path.name, archives))
        else:
            pictures.append(Picture(cell, cell, here))
    return pictures


def _path_column(table: Table, archives: Archives) -> str:
    """Return the first column of which one of the first cells names a file.

    Raises:
        DataError: There is none.
    """
    for place, name in enumerate(table.header):
        if any(_is_file(archives, row[place]) for row in table.rows[:_TRIED]):
            return name
    first = dict(zip(table.header, table.rows[0], strict=True)) if table.rows else {}
    raise DataError(
        "no column of this table holds paths of pictures",
        file=table.file,
        row=table.lines[0] if table.rows else None,
        found=", ".join(f"{name}: {cell!r}" for name, cell in first.items())[:300] or "no rows",
        expected="a column of paths, absolute or from the table's folder on",
    )


def _is_file(archives: Archives, cell: str) -> bool:
    """Return whether a cell names files, which may lie in an archive beside the table."""
    try:
        paths = paths_of(cell)
        if all(path and (archives.root / path).is_file() for path in paths):
            return bool(paths)
        return any(end in cell for end in CONTAINER_SUFFIXES) and archives.has(cell)
    except (DataError, OSError):  # no path at all: a long text, say
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
        pictures: What `find_pictures` returns.
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
            errors.append(one_line(images))
            progress(1)
        if len(errors) == len(pictures):
            raise DataError("none of the pictures can be read", details=errors)

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


def _readers(predictor: Predictor, pictures: Sequence[Picture]) -> dict[int, list[ImageReader]]:
    """Return the readers of each `Archives`, by its id: one for each preparation."""
    readers: dict[int, list[ImageReader]] = {}
    for picture in pictures:
        key = id(picture.archives)
        if key not in readers:
            readers[key] = [
                each.reader(picture.archives, [picture.image]) for each in predictor.preparations
            ]
    return readers
