"""The manifest of a folder of shards: the sha256 of each file, by name.

Whoever fills the folder writes it, and whoever reads a file compares: DVC looks at what it brings
back from a cache, but at nothing that changes on the disk afterwards.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from darkroom.errors import ArtifactError
from darkroom.project.checked_json import read_json, write_json
from darkroom.project.files import file_sha256
from darkroom.store.shard import remake

NAME = "digests.json"


def write_manifest(folder: Path, digests: Mapping[str, str]) -> None:
    """Write the sha256 of the files of a folder, 64 hexadecimal digits by name, into the folder."""
    write_json(folder / NAME, dict(sorted(digests.items())))


def compare_digests(folder: Path, names: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Return the sha256 of files of a folder, once all are those of its manifest.

    Args:
        folder: With its manifest.
        names: The files to compare.
        prefix: Of the names that the manifest may have no others of, such as "train-".

    Raises:
        ArtifactError: A file is absent or damaged, or the manifest is.
    """
    expected = read_json(folder / NAME, absent="the shards have no digests", fix=remake(folder))
    names = list(names)
    listed = sorted(name for name in expected if prefix and name.startswith(prefix))
    if prefix and listed != names:
        raise ArtifactError(
            "shards are missing, or are not those that preprocess wrote",
            file=folder,
            found=f"{len(names)} files {prefix}*",
            expected=f"the {len(listed)} of {NAME}",
            fix=remake(folder),
        )
    return {name: _compare(folder / name, expected.get(name)) for name in names}


def _compare(path: Path, expected: str | None) -> str:
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise ArtifactError(
            "it can't be read", file=path, found=error.strerror, fix=remake(path.parent)
        ) from error
    if digest != expected:
        raise ArtifactError(
            "it is damaged, or not the one that preprocess wrote",
            file=path,
            found=f"sha256 {digest}",
            expected=f"sha256 {expected}" if expected else f"a file that {NAME} lists",
            fix=remake(path.parent),
        )
    return digest
