"""A file under the name that Kaggle shall show, as long as it is on its way."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.errors import ArtifactError


@contextmanager
def staged(file: Path, sha256: str, mark: str, folder: Path) -> Iterator[Path]:
    """Yield a file under a name with its mark, its bytes those that were checked.

    Args:
        file: What is to be sent; a link to it will do.
        sha256: What was checked.
        mark: Of the submission.
        folder: Where the file stands under that name; emptied before and removed after.

    Raises:
        ArtifactError: The file is no longer the one that was checked.
    """
    name, dot, rest = file.name.partition(".")
    shutil.rmtree(folder, ignore_errors=True)  # a killed run's
    folder.mkdir(parents=True)
    try:
        path = folder / f"{name}-{mark}{dot}{rest}"
        try:
            path.hardlink_to(file.resolve())
        except OSError:  # not every file system links
            shutil.copyfile(file, path)
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != sha256:
            raise ArtifactError(
                "it changed while it was checked",
                file=file,
                found=f"sha256 {found}",
                expected=f"sha256 {sha256}",
                fix="run the command again",
            )
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
