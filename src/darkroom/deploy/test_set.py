"""A competition's test set, hidden perhaps, from its raw files alone: the rows of `dvc repro`.

Raw files are read as the section `data` says, images prepared in memory, and predictions written
as they come: neither training data nor shards are needed, and memory does not grow with the images.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from darkroom.deploy.predictor import Predictor
from darkroom.deploy.preparation import Preparation, PreparedImage, batches, map_ahead
from darkroom.errors import DataError, one_line
from darkroom.images.geometry import RGB
from darkroom.images.levels import Levels
from darkroom.index.assembly.build import read_test_images
from darkroom.index.card import Card
from darkroom.params.data import Data
from darkroom.raw.archives import Archives
from darkroom.raw.images.cells import PixelCells
from darkroom.raw.images.reader import ImageReader, paths_of, plan_channels
from darkroom.submission.cells import write_rows
from darkroom.submission.form import row_labels
from darkroom.submission.writer import Writer


class TestImages(NamedTuple):
    """The images of a test part.

    Attributes:
        ids: As the submission names them.
        images: As an index has them: the path of a member, say.
        reader: Of the images.
    """

    ids: list[str]
    images: list[str]
    reader: ImageReader


def read_test_set(
    archives: Archives, data: Data, card: Card, preparation: Preparation
) -> TestImages:
    """Return the test images of raw files, in the order of the submission.

    Args:
        archives: The raw files: of the test part, and the sample submission if `data.like` is set.
        data: The section.
        card: Of the index that the networks learned from.
        preparation: What the networks take.

    Raises:
        DataError: A file, table, row or cell of the part does not fit, or the images have other
            channels than the networks take.
        ParamsError: Keys of the section do not fit the files.
    """
    labels = row_labels(card) if card.long else ()
    ids, images = read_test_images(archives, data, labels, card.pixels)
    channels, levels = preparation.format.channels, preparation.levels
    planes = file_channels(archives, images, channels, levels, card.pixels)
    return TestImages(ids, images, ImageReader(archives, planes, levels, card.pixels))


def write_test_set(predictor: Predictor, test: TestImages, card: Card, out: Path) -> int:
    """Predict a test set and write its submission; return the number of its rows.

    The file appears under its name once complete.

    Args:
        predictor: Of the competition.
        test: Its images.
        card: Of the index that the networks learned from.
        out: `.csv`, or `.csv.gz`.

    Raises:
        DataError: Images can't be read; the message lists all of them.
    """
    decision, fit = predictor.decision, predictor.preparation.format.fit
    size = predictor.choice.batch_size
    bar = tqdm(total=len(test.ids), desc=f"predict {out.name}", unit="img", disable=None)
    with bar, Writer(out, card.header) as writer:
        predictions = predictor.predictions(batches(_prepared(predictor, test), size))
        write_rows(writer, predictions, card, decision, fit, bar.update)
    return writer.rows


def file_channels(
    archives: Archives,
    images: Sequence[str],
    channels: int,
    levels: Levels,
    cells: PixelCells | None = None,
) -> tuple[int, ...]:
    """Return how many channels each file of an image has, so that all have `channels` together.

    Training images decided on it, and these may look otherwise: all in grey, say.

    Args:
        archives: The files.
        images: As an index has them.
        channels: Of an image, as the networks take it.
        levels: See `darkroom.raw.images.reader.plan_channels`.
        cells: Likewise.
    """
    if not images:
        return (channels,)
    files = max(1, len(paths_of(images[0])))
    if files == 1:
        return (channels,)
    for each in (1, RGB):
        if files * each == channels:
            return (each,) * files
    return plan_channels(archives, images, levels, cells)


def _prepared(predictor: Predictor, test: TestImages) -> Iterator[PreparedImage]:
    """Yield the images of a test set; after an error only look for further ones.

    Raises:
        DataError: Images can't be read.
    """
    errors: list[str] = []
    pairs = zip(test.ids, test.images, strict=True)

    def read(pair: tuple[str, str]) -> PreparedImage | DataError:
        name, image = pair
        return predictor.preparation.try_reading(test.reader, image, name)

    for image in map_ahead(read, pairs, 2 * predictor.choice.batch_size):
        if isinstance(image, DataError):
            errors.append(one_line(image))
        elif not errors:
            yield image
    if errors:
        raise DataError(
            f"{len(errors)} of {len(test.ids)} test images cannot be used",
            details=errors,
            fix="correct or replace these files",
        )
