"""Find raw files by a path whose first folder may be packed, and whose `*` are unknown."""

import re
import sys
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from darkroom.errors import DataError, ParamsError
from darkroom.project.names import (
    CONTAINER_SUFFIXES,
    MissingFileError,
    list_names,
    path_fault,
    pick_name,
)
from darkroom.raw.archives import Archives
from darkroom.raw.templates.matching import Component

BARE = "."
"""The container of the files that lie in the source folder itself."""

_FIELD = re.compile(r"\{[^{}]*\}")
_WORD = re.compile(r"[^\W_]+")
_INNER_WORD = re.compile(r"(?<=[\W_])[^\W_]+(?=[\W_])")  # whole in every text that has the literal


def stem_of(name: str) -> str:
    """Return a container's name without its suffix.

    Example:
        >>> stem_of("train.tar.gz"), stem_of("train")
        ('train', 'train')
    """
    suffix = next((end for end in CONTAINER_SUFFIXES if name.endswith(end)), "")
    return name.removesuffix(suffix)


def check_path(text: str, key: str, *, example: str) -> None:
    """Raise ParamsError unless a path, or a template of one, stays inside the source folder."""
    plain = text.replace("\\", "/").removeprefix("./")
    fault = path_fault(_FIELD.sub("x", text))
    if not fault and not text.startswith("./") and "//" not in text:
        return
    fix = "write it relative to data.source; if the files lie elsewhere, change data.source"
    if not path_fault(_FIELD.sub("x", plain)):
        fix = f"write {re.sub('/+', '/', plain)}"
    raise ParamsError(
        f"{key} must be a path inside data.source",
        found=f"{fault or 'a path with ./ or //'}: {text}",
        expected=f"such as {example}",
        fix=fix,
    )


def find_containers(names: Collection[str], top: str | Component, key: str) -> list[str]:
    """Return the containers that the first component of a template means.

    A name without its suffix means the folder of that name or the archive, whichever is there.

    Args:
        names: The names in the source folder.
        top: The component, without fields. With a star, all that fit. As a text, it is literal.
        key: The parameter, for the message.

    Raises:
        DataError: There is none (the message names the nearest), or a name means two.
    """
    top = Component([top]) if isinstance(top, str) else top
    chosen = [name for name in sorted(names) if any(map(top.fits, _aliases(name)))]
    if top.literal is None:
        if chosen:
            return chosen
        raise DataError(
            f"no folder or archive is like the first part of {key}",
            found=", ".join(sorted(names)[:12]),
            expected=top.text,
            fix="correct the template, or download the missing archive",
        )
    if len(chosen) > 1:
        raise DataError(
            f"{top.literal} is two things here",
            found=" and ".join(chosen),
            expected=f"one of them, for {key}",
            fix=f"write {next(name for name in chosen if name != top.literal)} in {key}, or keep "
            "only one of them in data.source",
        )
    twins = [name for name in sorted(names) if stem_of(name) == stem_of(top.literal)]
    if not chosen and twins:
        raise MissingFileError(
            top.literal,
            [top.literal],
            file=None,
            found=f"{twins[0]}, {'unpacked' if twins[0] == stem_of(twins[0]) else 'packed'}",
            fix=f"write {stem_of(top.literal)}/ for {top.literal}/ in {key}: then either will do",
        )
    return chosen or [pick_name(names, top.literal, suffixes=[*CONTAINER_SUFFIXES, ""], key=key)]


def _aliases(name: str) -> set[str]:
    """Return what a container may be called: its name, that without suffix, or without .001."""
    return {name, stem_of(name), name.removesuffix(".001")}


def is_container(path: Path) -> bool:
    """Return whether a path is that of a folder, or has an archive's name."""
    return path.is_dir() or path.name.endswith(CONTAINER_SUFFIXES)


def find_member(archives: Archives, path: str) -> str:
    """Return the file of a path whose first folder may be packed; "" if there is none.

    Raises:
        DataError: Its first folder is not there, or is two things; or it means two files.
    """
    top, _, name = path.partition("/")
    names = list_names(archives.root)
    (container,) = find_containers(names, top, path)
    return Listing(archives, container, top, exact=top != stem_of(container)).find(name)


class Listing:
    """The files of one container, by the paths that a template may give them.

    A file x of train.zip is train.zip/x, and train/x too; so is train/x of it. The same goes for a
    folder in a folder of its own name. A letter such as é may be one character or two.

    Args:
        archives: The raw files.
        container: A container of theirs.
        top: What the template calls it: its name, or that without the suffix.
        exact: Whether a file's path is that in the container and no other.
    """

    def __init__(
        self, archives: Archives, container: str, top: str, *, exact: bool = False
    ) -> None:
        self.top = top
        self._front = "" if container == BARE else f"{container}/"
        self._members = archives.members(container)
        self._inner = "" if exact else f"{stem_of(container)}/"
        names = self._members.names
        self._inners = [""]  # of the folders of the container's own name, in one another
        while self._inner and pc.any(pc.starts_with(names, self._inners[-1] + self._inner)).as_py():
            self._inners.append(self._inners[-1] + self._inner)
        # Files by what the rest of their path may be, where its letters have two forms.
        self._composed: dict[str, list[str]] = {}
        for name in names.filter(pc.invert(pc.string_is_ascii(names))).to_pylist():
            for inner in self._inners:
                if name.startswith(inner):
                    rest = name.removeprefix(inner)
                    for form in {rest, normalize("NFC", rest)}:
                        self._composed.setdefault(form, []).append(name)
        self._tables: dict[tuple[int, int, str], list[tuple[str, int]]] = {}
        self._parts: dict[int, list[list[str]]] = {}

    def names(self, first: Component) -> Iterator[str]:
        """Yield the paths to match with a pattern that begins with some component.

        Only a literal one means an inner folder of the container's own name: no field or `*` does.
        """
        is_inner = not self._inner or f"{first.literal}/" == self._inner
        for name in self._names():
            if is_inner or not name.startswith(self._inner):
                yield name

    def _names(self) -> Iterator[str]:
        """Yield all that the rest of a file's path may be, each once."""
        for inner in self._inners:
            for name in self._members:
                if name.startswith(inner) and name.isascii():
                    rest = name.removeprefix(inner)
                    if not inner or rest not in self._members:
                        yield rest
        yield from self._composed

    def find(self, name: str) -> str:
        """Return the file of a path below the container; "" if there is none.

        Raises:
            DataError: There are two.
        """
        files = self._files(name)
        if len(files) > 1:
            raise two_files(f"{self.top}/{name}", (files[0], files[-1]))
        return files[0] if files else self.first(normalize("NFC", name))

    def first(self, name: str) -> str:
        """Return the file of a path below the container, of two the first; "" if there is none."""
        return next(iter(self._files(name)), "")

    def _files(self, name: str) -> list[str]:
        """Return all files of a path below the container."""
        names = [inner + name for inner in self._inners if inner + name in self._members]
        names += self._composed.get(name, [])
        return [self._front + each for each in dict.fromkeys(names)]

    def find_all(self, names: Sequence[str]) -> list[str]:
        """Return the file of each path below the container; "" where there is none.

        Raises:
            DataError: There are two of one.
        """
        texts = pa.array(names, pa.large_string())
        if self._composed or not pc.all(pc.string_is_ascii(texts)).as_py():
            return list(map(self.find, names))
        places = np.full(len(names), -1)
        for inner in self._inners:
            own = self._members.places(_prefixed(inner, texts))
            if (both := (places >= 0) & (own >= 0)).any():
                self.find(names[int(both.argmax())])
            places = np.maximum(places, own)
        files = self._members.names.take(pa.array(places, mask=places < 0))
        paths: list[str] = _prefixed(self._front, files).fill_null("").to_pylist()
        return paths

    def search(self, pattern: str) -> list[str]:
        """Return the files of a path below the container in which `*` is unknown, sorted."""
        components = [Component.of_pattern(text) for text in pattern.split("/")]
        depth = len(components)
        if depth not in self._parts:
            self._parts[depth] = [
                parts for parts in map(_split, self._names()) if len(parts) == depth
            ]
        rows = self._parts[depth]
        numbers: Collection[int] = range(len(rows))
        ranges = [
            each
            for place, component in enumerate(components)
            for each in self._ranges(depth, place, component)
        ]
        if ranges:
            table, begin, end = min(ranges, key=lambda each: each[2] - each[1])
            numbers = [number for _, number in table[begin:end]]
        fitting = (
            "/".join(rows[number])
            for number in numbers
            if all(map(Component.fits, components, rows[number]))
            and (components[0].literal is not None or f"{rows[number][0]}/" != self._inner)
        )
        return sorted({self.find(name) for name in fitting})

    def _ranges(
        self, depth: int, place: int, component: Component
    ) -> Iterator[tuple[list[tuple[str, int]], int, int]]:
        """Yield ranges of tables that hold all rows whose component may fit a pattern's."""
        first, inner, last = component.literals[0], component.literals[1:-1], component.literals[-1]
        ends = [("first", first, "\U0010ffff"), ("last", last[::-1], "\U0010ffff")]
        words = [("word", word, "") for literal in inner for word in _INNER_WORD.findall(literal)]
        for kind, text, more in ends + words:
            if text:
                table = self._table(depth, place, kind)
                begin = bisect_left(table, (text, -1))
                yield table, begin, bisect_left(table, (text + more, sys.maxsize), begin)

    def _table(self, depth: int, place: int, kind: str) -> list[tuple[str, int]]:
        """Return what the rows' components begin with, or end with, or hold as words, sorted."""
        key = (depth, place, kind)
        if key not in self._tables:
            texts = enumerate(parts[place] for parts in self._parts[depth])
            match kind:
                case "first":
                    pairs = [(text, number) for number, text in texts]
                case "last":
                    pairs = [(text[::-1], number) for number, text in texts]
                case _:
                    pairs = [(word, number) for number, text in texts for word in _words(text)]
            self._tables[key] = sorted(pairs)
        return self._tables[key]


def _prefixed(front: str, texts: pa.Array) -> pa.Array:
    pair = (pa.scalar(front, pa.large_string()), texts, pa.scalar("", pa.large_string()))
    return pc.binary_join_element_wise(*pair)


def _split(name: str) -> list[str]:
    return name.split("/")


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text))


def two_files(pattern: str, files: Sequence[str]) -> DataError:
    """Return the error for a path that means two files."""
    return DataError(
        "a path that means two files",
        file=pattern,
        found=f"{len(files)} files: {', '.join(files[:5])}",
        expected="one file",
        fix="write more of its name into the template, or remove the others",
    )
