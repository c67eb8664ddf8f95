"""The names of files in folders and archives: which are safe, which are junk, which are nearest."""

import bisect
import difflib
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

from darkroom.errors import DataError, ResourceError

TAR_SUFFIXES = (".tar.gz", ".tgz", ".tar")
FIRST_PART = ".zip.001"
CONTAINER_SUFFIXES = (".zip", *TAR_SUFFIXES, ".tar.7z", ".7z", FIRST_PART)
"""Of archives that are read where they lie; a longer one comes before its own end."""

_JUNK = re.compile(r"(?:^|/)(?:__MACOSX/.*|\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini|\.gitkeep)$")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:")
# What all paths have that `path_fault` refuses, and some others.
_SUSPECT = re.compile(r"^/|\.\.|\\|^.:|[\x00-\x1f\x7f\ud800-\udfff]|^[./]*$", re.DOTALL)
_REPACK = "pack it again: regular files, relative names, no duplicates, no password"
_PART = re.compile(r"(.*)\.(?:[0-9]{3}|z[0-9]{2}|part[0-9]+\.rar)")
_OTHER_ARCHIVE = re.compile(r"(.*)\.(?:rar|tar\.(?:bz2|xz|zst)|tbz2?|txz|bz2|xz|zst)")
_NEIGHBOURS = 50
_COMPARED = 100  # characters from the end: comparing takes the square of their number
_MAGIC = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"PK\x07\x08", "the first part of a split zip"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF"),
    (b"PAR1", "a Parquet table"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
BROKEN: tuple[type[Exception], ...] = (
    EOFError,
    ValueError,
    NotImplementedError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)
"""What reading a damaged archive raises, besides OSError, which may come from the disk."""


def describe_bytes(head: bytes) -> str:
    """Return in words what kind of file it is, from its first 512 bytes or more.

    Example:
        >>> describe_bytes(b"<!DOCTYPE html><html>")
        'an HTML page'
    """
    if not head:
        return "an empty file"
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return words
    if head[257:262] == b"ustar":
        return "a tar archive"
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|script)", head, re.IGNORECASE):
        return "an HTML page"
    return "binary data" if b"\0" in head else "text"


def path_fault(name: str) -> str:
    """Return why a path is not inside its folder ("a path with .."), or ""."""
    if not _SUSPECT.search(name):
        return ""
    faults = {
        "an absolute path": name.startswith("/"),
        "a path with ..": ".." in name.split("/"),
        "a path with a backslash": "\\" in name,
        "a path with a drive letter": bool(_DRIVE.match(name)),
        "a path with a control character": bool(_CONTROL.search(name)),
        "a path that is not UTF-8": bool(_SURROGATE.search(name)),
        "a path without a name": not set(name.split("/")) - {"", "."},
    }
    return next((fault for fault, is_so in faults.items() if is_so), "")


def safe_name(name: str, file: object, *, fix: str = _REPACK) -> str:
    """Return the name of an archive's member without "./" and doubled slashes.

    Args:
        name: The member, with slashes.
        file: The archive, for messages.
        fix: What to do about an unsafe name.

    Raises:
        DataError: The path leads out of its archive, or could on some system.

    Example:
        >>> safe_name("./train//1.jpg", "a.zip")
        'train/1.jpg'
    """
    if fault := path_fault(name):
        raise DataError(
            "a path that may lead out of its archive",
            file=file,
            found=f"{fault}: {name!r}",
            expected="a relative path such as train/0001.jpg",
            fix=fix,
        )
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def file_kind(mode: int) -> str:
    """Return what kind of file a Unix mode means: "" for a regular file, "a link", "a device"."""
    kind = stat.S_IFMT(mode)
    if kind in (0, stat.S_IFREG):
        return ""
    return "a link" if kind == stat.S_IFLNK else "a device, pipe or folder"


def sizes_by_name(
    file: Path,
    entries: Iterable[tuple[str, int, str]],
    *,
    fix: str = _REPACK,
    errors: list[DataError] | None = None,
) -> dict[str, int]:
    """Return sizes in bytes by member name, junk left out.

    Args:
        file: The container, for messages.
        entries: Name, size, and why a member can't be read ("a link", "encrypted"), or "".
        fix: What to do about such a member.
        errors: Takes the errors of such members, which are then left out; None: the first is
            raised.

    Raises:
        DataError: A member is no regular file, appears twice, or has an unsafe name.
    """
    sizes: dict[str, int] = {}
    for raw, size, fault in entries:
        try:
            name = safe_name(raw, file, fix=fix)
            if is_junk(name):
                continue
            if fault or name in sizes:
                raise DataError(
                    "a member that can't be read safely",
                    file=file,
                    found=f"{name}: {fault or 'two members of this name'}",
                    expected="regular files, no name twice",
                    fix=fix,
                )
        except DataError as error:
            if errors is None:
                raise
            errors.append(error)
        else:
            sizes[name] = size
    return sizes


def nearest_name(name: str, names: Collection[str]) -> str | None:
    """Return the existing name that is most like a missing one; None if there are no names.

    Fast for 200,000 names: first the same file in another folder or with another suffix, then the
    most similar of its neighbours in order.

    Example:
        >>> nearest_name("train.zip", ["test.zip", "train_hq.zip", "old/train.zip"])
        'old/train.zip'
    """
    if not names:
        return None
    base = name.rsplit("/", 1)[-1]
    stem = base.split(".", 1)[0].lower()
    ordered = sorted(names)
    for other in ordered:
        if other.rsplit("/", 1)[-1] == base:
            return other
    for other in ordered:
        if other.rsplit("/", 1)[-1].split(".", 1)[0].lower() == stem:
            return other
    place = bisect.bisect(ordered, name)
    around = ordered[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS]
    ends = {other[-_COMPARED:]: other for other in reversed(around)}
    return ends[difflib.get_close_matches(name[-_COMPARED:], ends, n=1, cutoff=0.0)[0]]


def is_junk(name: str) -> bool:
    """Return whether operating systems or git leave such a file behind (.DS_Store, .gitkeep)."""
    return bool(_JUNK.search(name))


def list_names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, junk left out."""
    with read_errors(folder):
        return sorted(path.name for path in folder.iterdir() if not is_junk(path.name))


class MissingFileError(DataError):
    """A required file is missing.

    Attributes:
        stem: Its name, perhaps without a suffix.
        wanted: The names that it may have.
    """

    def __init__(self, stem: str, wanted: Sequence[str], *, file: object, found: str, fix: str):
        what, expected = f"{stem} is missing", " or ".join(wanted)
        super().__init__(what, file=file, found=found, expected=expected, fix=fix)
        self.stem, self.wanted = stem, tuple(wanted)


def pick_name(
    names: Collection[str],
    stem: str,
    *,
    suffixes: Iterable[str] = (*CONTAINER_SUFFIXES, ""),
    file: object = None,
    key: str = "",
) -> str:
    """Return the name that is a stem with a suffix; archives come before unpacked folders.

    Args:
        names: The existing names.
        stem: The name without its suffix.
        suffixes: In order of preference.
        file: The folder, for the message.
        key: The parameter that names the file, if there is one, for the message.

    Raises:
        MissingFileError: There is none; the message has the existing names and the nearest.
    """
    wanted = [stem + suffix for suffix in suffixes]
    for name in wanted:
        if name in names:
            return name
    ends = tuple(PurePath(name).suffix for name in wanted)
    near = nearest_name(stem, [name for name in names if name.endswith(ends)] or names)
    or_write = f", or write {near} in {key}" if key else ""
    fix = f"if {near} is it, rename it{or_write}; else download {stem}"
    fix = _unpacking_advice(wanted, names) or fix
    raise MissingFileError(
        stem,
        wanted,
        file=file,
        found=summarise_names(names),
        fix=fix if near else f"download {stem}",
    )


def _unpacking_advice(wanted: Sequence[str], names: Collection[str]) -> str:
    """Return what to do if a wanted file is there in parts, or in another archive; else ""."""
    bare = {name.removesuffix(end) for name in wanted for end in ("", *CONTAINER_SUFFIXES)}
    for name in sorted(names):
        if (part := _PART.fullmatch(name)) and {part[1], f"{part[1]}.zip"} & {*wanted, *bare}:
            return f"{name} is one of its parts: {join_advice(part[1])}"
        if (other := _OTHER_ARCHIVE.fullmatch(name)) and {other[1], Path(other[1]).stem} & bare:
            return f"{name} is packed in another way: {REPACK_ADVICE}"
    return ""


REPACK_ADVICE = "unpack it, and leave the folder or the table there, or pack it as a zip"


def join_advice(name: str) -> str:
    """Return how to join the parts of an archive of that name."""
    return (
        f"join them: `cat {name}.0* > {name}`; for parts .z01, .z02, ... and .zip "
        f"`zip -s 0 {name} --out whole.zip`"
    )


def summarise_names(names: Collection[str]) -> str:
    """Return the first names and the count of the others, for a message."""
    first = sorted(names)[:12]
    more = f" and {len(names) - len(first):,} more" if len(names) > len(first) else ""
    return (", ".join(first) or "nothing") + more


@contextmanager
def read_errors(file: Path, *errors: type[Exception]) -> Iterator[None]:
    """Turn the errors of reading a file into a DataError or ResourceError that names the file."""
    try:
        yield
    except PermissionError as error:
        inside = isinstance(error.filename, str) and error.filename.startswith(f"{file}/")
        raise ResourceError(
            "may not be read",
            file=error.filename if inside else file,
            found=error.strerror,
            fix="change its permissions",
        ) from error
    except Exception as error:
        if not isinstance(error, (OSError, *errors)):
            raise
        words = error.strerror if isinstance(error, OSError) else None
        raise DataError(
            "can't be read",
            file=file,
            found=words or str(error) or type(error).__name__,
            expected="a complete file",
            fix="download it again; it is damaged or cut short",
        ) from error
