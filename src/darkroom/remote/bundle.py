"""A bundle, one zip of everything, taken apart into what a competition needs.

Files at its top are written out. A folder becomes a zip of its own, nothing compressed, so that
200,000 images stay one file; its bytes depend on its members alone.
"""

import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

from darkroom import files
from darkroom.archives import Archives
from darkroom.errors import DataError
from darkroom.members import BROKEN, is_junk, safe_name
from darkroom.spool import MAX_UNPACKED_RATIO

_CHUNK_BYTES = 2**20
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold
_MEMBER_BYTES = 30 + 46 + 2 * 20  # of a zip, for a member, beside its name (twice) and bytes
_END_BYTES = 22 + 56 + 20

Member = tuple[str, zipfile.ZipInfo]
Tick = Callable[[int], object]


class Bundle:
    """A bundle, open; its members have been listed and their names found safe.

    Args:
        path: The zip.

    Attributes:
        sizes: What can be taken out of it, in bytes at most: a file at the top under its own
            name, a folder "images" as "images.zip" (unless a file at the top is called so).

    Raises:
        DataError: It is no zip, is damaged, or holds a member that can't be read safely.
    """

    def __init__(self, path: Path) -> None:
        try:
            Archives(path.parent, path.parent).names(path.name)
        except DataError as error:
            raise DataError(str(error).partition("\n  to do: ")[0], fix=_anew(path)) from error
        self._path = path
        self._zip = zipfile.ZipFile(path)
        named = [
            (safe_name(info.orig_filename, path), info)
            for info in self._zip.infolist()
            if not info.orig_filename.endswith("/")
        ]
        named = sorted((member for member in named if not is_junk(member[0])), key=lambda m: m[0])
        self._files = {name: info for name, info in named if "/" not in name}
        self._folders: dict[str, list[Member]] = {}
        for name, info in named:
            top, is_inside, _ = name.partition("/")
            if is_inside and f"{top}.zip" not in self._files:
                self._folders.setdefault(f"{top}.zip", []).append((name, info))
        self.sizes = {name: info.file_size for name, info in self._files.items()}
        self.sizes |= {name: _packed_size(members) for name, members in self._folders.items()}

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def split(self, names: Collection[str], folder: Path, tick: Tick) -> None:
        """Take some of `sizes` out into a folder, each under its name only when it is whole.

        The bundle stays as it is.

        Args:
            names: Keys of `sizes`.
            folder: Where to.
            tick: Called with the bytes of each piece that has been written.

        Raises:
            DataError: A member is damaged or not as large as declared, a file is empty, or they
                unpack to `MAX_UNPACKED_RATIO` times the bundle's size.
        """
        self._refuse_bomb(names)
        for name in sorted(names):
            if not self.sizes[name]:
                raise DataError(
                    "the file is empty",
                    file=self._path / name,
                    found="0 bytes",
                    fix=_anew(self._path),
                )
        for name in sorted(names):
            with files.replacing(folder / name) as part:
                if name in self._files:
                    with part.open("wb") as out:
                        self._copy(name, self._files[name], out, tick)
                else:
                    self._pack(self._folders[name], part, tick)

    def _refuse_bomb(self, names: Collection[str]) -> None:
        declared = sum(self.sizes[name] for name in names)
        size = self._path.stat().st_size
        if declared > MAX_UNPACKED_RATIO * max(size, _CHUNK_BYTES):
            raise DataError(
                "unpacks to more than any set of images would",
                file=self._path,
                found=f"{declared:,} bytes from {size:,}",
                expected=f"at most {MAX_UNPACKED_RATIO} times its own size",
                fix="is it the right one? Then unpack it yourself, and set data.source to it",
            )

    def _pack(self, members: list[Member], path: Path, tick: Tick) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, info in members:
                entry = zipfile.ZipInfo(name, _DATE)
                entry.create_system = 3  # Unix, wherever it is written
                entry.external_attr = 0o100644 << 16
                entry.file_size = info.file_size
                with archive.open(entry, "w") as out:
                    self._copy(name, info, out, tick)

    def _copy(self, name: str, info: zipfile.ZipInfo, out: IO[bytes], tick: Tick) -> None:
        done = 0
        for chunk in self._chunks(name, info):
            done += len(chunk)
            out.write(chunk)
            tick(len(chunk))
        if done != info.file_size:
            raise self._damaged(name, f"{done:,} bytes of {info.file_size:,}")

    def _chunks(self, name: str, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield a member's bytes; zipfile reads no more than declared, then checks the CRC."""
        with self._reported(name):
            member = self._zip.open(info)
        with member:
            while True:
                with self._reported(name):
                    chunk = member.read(_CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise self._damaged(name, str(error) or "it ends too early") from error

    def _damaged(self, name: str, found: str) -> DataError:
        return DataError(
            "a damaged member",
            file=self._path / name,
            found=found,
            expected="what the bundle's directory declares",
            fix=_anew(self._path),
        )


def _anew(path: Path) -> str:
    return (
        f"delete {path}, and run it again: it is fetched anew; if it stays so, download it in a "
        "browser, unpack it, and set data.source to that folder"
    )


def _packed_size(members: list[Member]) -> int:
    """Return the most bytes that a zip of some members, nothing compressed, can have."""
    named = sum(info.file_size + 2 * len(name.encode()) for name, info in members)
    return named + _MEMBER_BYTES * len(members) + _END_BYTES
