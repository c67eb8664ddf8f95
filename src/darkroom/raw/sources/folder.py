"""Raw files from a folder: copied into the project, and listed in a manifest."""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path, PurePath

from darkroom.errors import DataError, ParamsError
from darkroom.project import files
from darkroom.project.files import file_sha256, walk_files
from darkroom.project.names import is_junk, list_names, read_errors
from darkroom.project.paths import home
from darkroom.project.results import shares_blocks
from darkroom.raw.zips import open_zip

MANIFEST = "manifest.json"
_CHUNK_BYTES = 2**20


def source_folder(source: str) -> Path:
    """Return the folder that data.source names; raise ParamsError if it is no folder.

    A relative path starts at the project, also in the copy where DVC runs a queued experiment.
    """
    folder = home() / os.path.expanduser(source)  # noqa: PTH111  (Path's raises for unknown users)
    if not folder.is_dir():
        raise ParamsError(
            "data.source is not a folder",
            found=f"{source}, {'a file' if folder.exists() else 'which does not exist'}",
            expected="`sample`, `kaggle`, `urls`, or the folder that holds the raw files",
        )
    return folder


def refuse_foreign_files(folder: Path) -> None:
    """Raise DataError if a folder holds files that no earlier fetch put there.

    The folder is about to be replaced, and those files would be lost.
    """
    if not folder.exists():
        return
    with read_errors(folder):
        present = {Path(entry.path).relative_to(folder).as_posix() for entry in walk_files(folder)}
    if (folder / MANIFEST).exists() and not (folder / MANIFEST).is_file():
        raise DataError("it is not a file", file=folder / MANIFEST, fix="remove it")
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        ours = {entry["name"] for entry in listed} | {MANIFEST}
    except FileNotFoundError:
        ours = {MANIFEST}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("it is not a manifest that fetch wrote", file=folder / MANIFEST) from error
    if foreign := sorted(name for name in present - ours if not is_junk(name)):
        raise DataError(
            f"{len(foreign)} files here were not fetched, and fetching replaces the folder",
            file=folder,
            details=foreign,
            fix="move them to a folder of their own, and name that folder in data.source",
        )


def refuse_overlap(source: Path, folder: Path) -> None:
    """Raise ParamsError if the source lies inside the target folder, or contains it."""
    inner, outer = source.resolve(), folder.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ParamsError(
            "data.source and the folder to fetch into overlap",
            found=source,
            expected=f"a folder apart from {folder}",
            fix="keep the raw files in a folder of their own",
        )


def refuse_nested(source: Path, names: Collection[str]) -> None:
    """Raise DataError if a missing file lies inside a folder or a zip of the source.

    Args:
        source: The folder that lacks it.
        names: The names that the file may have.
    """
    # Names without a suffix are left out: a folder of that name in an archive proves nothing,
    # the archive itself may have a wrong name.
    missing = {name for name in names if PurePath(name).suffix}
    for place in map(source.joinpath, list_names(source)):
        for inner in _names_in(place):
            parts = inner.split("/")[:2]
            if hit := next((part for part in parts if part in missing), None):
                fix = f"set data.source to {place}, or move what is in it up"
                if place.is_file():
                    fix = f"unpack {place.name}, and set data.source to the folder that it fills"
                raise DataError(
                    f"{hit} is missing here, but lies deeper",
                    file=source,
                    found=f"{place.name}/{'/'.join(parts[: parts.index(hit) + 1])}",
                    expected="tables and archives in the folder itself",
                    fix=fix,
                )


def raw_paths(source: Path, names: list[str]) -> list[Path]:
    """Return the files that files and folders of a source are, sorted.

    What operating systems leave behind in folders (.DS_Store, __MACOSX) is left out.

    Raises:
        DataError: A folder inside is a link; a file has the name of the manifest.
        ResourceError: A folder may not be read.
    """
    if MANIFEST in names:
        raise DataError(
            "a raw file can't have this name: it is that of the list of raw files",
            file=source / MANIFEST,
            found=MANIFEST,
            expected="any other name",
            fix="give it another name in a folder of your own, and set data.source to that folder",
        )
    places = [source / name for name in sorted(names)]
    inside = [_files_inside(place) if place.is_dir() else [place] for place in places]
    return [
        path
        for paths in inside
        for path in paths
        if not is_junk(path.relative_to(source).as_posix())
    ]


def copy_files(source: Path, names: list[str], folder: Path) -> None:
    """Copy files and folders of a source into another folder; see `raw_paths`.

    Never a hard link: DVC may make the project's file read-only, or one with its cache, and the
    source would be so too. File systems that can (Btrfs, XFS) share the blocks of a copy.

    Raises:
        DataError: A file is empty, or neither a file nor a folder; a folder inside is a link; a
            file has the name of the manifest.
        ResourceError: A file or folder may not be read.
    """
    for path in raw_paths(source, names):
        _copy(path, folder / path.relative_to(source))


def _names_in(place: Path) -> list[str]:
    """Return the paths in a folder, two levels deep, or in a zip; none in another file."""
    if place.is_dir():
        tops = list_names(place)
        inner = [[top, *_names_below(place, top)] for top in tops]
        return [name for names in inner for name in names]
    if not place.is_file():
        return []  # opening a pipe would wait for its writer
    try:
        with open_zip(place) as archive:
            return archive.namelist()
    except DataError:
        return []


def _names_below(place: Path, top: str) -> list[str]:
    if not (place / top).is_dir():
        return []
    return [f"{top}/{name}" for name in list_names(place / top)]


def _files_inside(folder: Path) -> list[Path]:
    """Return the files of a folder, at any depth, sorted."""
    with read_errors(folder):
        entries = list(walk_files(folder))
    linked = [entry.path for entry in entries if entry.is_symlink() and entry.is_dir()]
    if linked:
        raise DataError(
            "a folder inside it is a link, which could lead in circles",
            file=folder,
            found=linked[0],
            fix="put the folder itself there",
        )
    return [Path(entry.path) for entry in entries]


def write_manifest(
    folder: Path, digests: Mapping[str, str] | None = None
) -> tuple[dict[str, str], int]:
    """List a folder's files with bytes and sha256; return their sha256, and bytes in total.

    Args:
        folder: Of the files.
        digests: Their sha256 by path in the folder, if they have just been read; None: read them.
    """
    paths = [Path(entry.path) for entry in walk_files(folder)]
    names = [path.relative_to(folder).as_posix() for path in paths]
    sizes = [path.stat().st_size for path in paths]
    digests = digests or {name: file_sha256(path) for name, path in zip(names, paths, strict=True)}
    listed = [
        {"name": name, "bytes": size, "sha256": digests[name]}
        for name, size in zip(names, sizes, strict=True)
    ]
    files.write(folder / MANIFEST, json.dumps({"files": listed}, indent=1) + "\n")
    return {name: digests[name] for name in names}, sum(sizes)


def _copy(path: Path, target: Path) -> None:
    with read_errors(path):
        if not path.is_file():  # a pipe, say, which would never end
            fix = "correct the link, or remove it" if path.is_symlink() else "remove it"
            raise DataError("it is not a file", file=path, fix=fix)
        if not path.stat().st_size:
            fix = "fetch it again, or remove it if nothing needs it"
            raise DataError("the file is empty", file=path, found="0 bytes", fix=fix)
        source = path.open("rb")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as copy:
        if not shares_blocks(source, copy):
            # Not shutil.copyfile: it opens both anew, which makes small files a third slower.
            shutil.copyfileobj(source, copy, _CHUNK_BYTES)
