"""What batch norm asks of a batch: two values or more of each channel."""

from collections.abc import Iterator
from contextlib import contextmanager

from darkroom.errors import ParamsError


def leaves_one(images: int, batch_size: int) -> bool:
    """Return whether an epoch's last batch would hold a single image.

    Batch norm cannot take the variance of a single value, and that of a single image is
    noise: let the loader drop that batch. Shuffled, it is another image every epoch.
    """
    return batch_size > 1 and images > 1 and images % batch_size == 1


@contextmanager
def single_values_told() -> Iterator[None]:
    """Say which parameters leave batch norm a single value a channel, with no variance."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ParamsError(
            "batch norm needs two values or more of each channel",
            found=f"one image a batch, shrunk to one pixel inside the network: {error}",
            expected="two images a batch, or larger ones",
            fix="raise train.batch_size, or preprocess.height and width, or lower model.depth",
        ) from error
