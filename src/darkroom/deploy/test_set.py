"""A competition's test set, hidden perhaps, from its raw files alone: the rows of `dvc repro`.

Raw files are read as the section `data` says, images prepared in memory, and predictions written
as they come: neither training data nor shards are needed, and memory does not grow with the images.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from darkroom.deploy.predictor import Predictor
from darkroom.deploy.preparation import Preparation, PreparedImage, try_reading
from darkroom.errors import DataError, one_line
from darkroom.index.assembly.build import read_test_images
from darkroom.index.card import Card
from darkroom.params.data import Data
from darkroom.project.processes import map_ahead
from darkroom.raw.archives import Archives
from darkroom.raw.images.reader import ImageReader
from darkroom.submission.cells import write_rows
from darkroom.submission.form import row_labels
from darkroom.submission.writer import Writer


class TestImages(NamedTuple):
    """The images of a test part.

    Attributes:
        ids: As the submission names them.
        images: As an index has them: the path of a member, say.
        readers: Of the images, for each of a predictor's preparations.
    """

    ids: list[str]
    images: list[str]
    readers: list[ImageReader]


def read_test_set(
    archives: Archives, data: Data, card: Card, preparations: Sequence[Preparation]
) -> TestImages:
    """Return the test images of raw files, in the order of the submission.

    Args:
        archives: The raw files: of the test part, and the sample submission if `data.like` is set.
        data: The section.
        card: Of the index that the networks learned from.
        preparations: What the networks take.

    Raises:
        DataError: A file, table, row or cell of the part does not fit.
        ParamsError: Keys of the section do not fit the files.
    """
    labels = row_labels(card) if card.long else ()
    ids, images = read_test_images(archives, data, labels, card.pixels)
    readers = [each.reader(archives, images, card.pixels) for each in preparations]
    return TestImages(ids, images, readers)


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
    bar = tqdm(total=len(test.ids), desc=f"predict {out.name}", unit="img", disable=None)
    with bar, Writer(out, card.header) as writer:
        predictions = predictor.predictions(_prepared(predictor, test))
        write_rows(writer, predictions, card, decision, fit, bar.update)
    return writer.rows


def _prepared(predictor: Predictor, test: TestImages) -> Iterator[tuple[PreparedImage, ...]]:
    """Yield the images of a test set; after an error only look for further ones.

    Raises:
        DataError: Images can't be read.
    """
    errors: list[str] = []
    preparations = predictor.preparations

    def read(pair: tuple[str, str]) -> tuple[PreparedImage, ...] | DataError:
        name, image = pair
        return try_reading(preparations, test.readers, image, name)

    pairs = zip(test.ids, test.images, strict=True)
    for images in map_ahead(read, pairs, 2 * predictor.choice.batch_size):
        if isinstance(images, DataError):
            errors.append(one_line(images))
        elif not errors:
            yield images
    if errors:
        raise DataError(
            f"{len(errors)} of {len(test.ids)} test images cannot be used",
            details=errors,
            fix="correct or replace these files",
        )
