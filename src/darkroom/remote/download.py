"""One file from a server: gone on with after a cut, proved whole, then given its name."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import requests
from tqdm import tqdm
from urllib3 import exceptions as urllib3_errors

from darkroom.errors import RemoteError, ResourceError
from darkroom.project import files
from darkroom.project.names import describe, unsafe
from darkroom.remote import disk_space, partial, verify, web_pages
from darkroom.remote.disk_space import Need
from darkroom.remote.partial import Identity, Part, begins_at, identity_of
from darkroom.remote.retry import AGAIN, KEPT, PassingError, Waits, again, status_words

_CHUNK_BYTES = 2**18
_HEAD_BYTES = 512
_MOST_SPOILT = 3


class Opener(Protocol):
    """Asks a server for a file, with some headers.

    Returns a streamed answer of status 200, 206 or 416; the caller closes it. Raises
    RemoteError for what will stay as it is, and what requests raises for what may pass.
    """

    def __call__(self, headers: Mapping[str, str]) -> requests.Response:
        """Ask once."""


@dataclass(frozen=True)
class Remote:
    """A file elsewhere.

    Attributes:
        name: What it is to be called here.
        open: Asks for it.
        where: Its address, for messages; no query.
        size: Its bytes as the server's index lists them.
        sha256: What its bytes must hash to, hexadecimal.
    """

    name: str
    open: Opener
    where: str
    size: int | None = None
    sha256: str | None = None


def download(remote: Remote, folder: Path, *, waits: Waits, bar: "tqdm[Any] | None" = None) -> Path:
    """Fetch a file into a folder, and return its path; nothing half ever has its name.

    The bytes that come are kept in `<name>.part` and, with `<name>.part.json` telling of which
    file they are, gone on with by this run or a later one. What the server sends as
    `<name>.zip`, a zip around the file, is saved under that name.

    Args:
        remote: The file.
        folder: Made if need be. One process at a time may download a name into it.
        waits: How long to wait for a server that fails.
        bar: Gains the file's bytes, those in a part that was here included.

    Raises:
        RemoteError: The server refuses, fails for too long, or sends something else.
        ResourceError: The disk is too small, or full. What came is kept.
    """
    if "/" in remote.name or unsafe(remote.name):
        raise RemoteError(
            "a file name that may lead out of its folder",
            found=repr(remote.name),
            expected="a plain name such as train.zip",
            fix="do not use this source: it offers what no download should be called",
        )
    folder.mkdir(parents=True, exist_ok=True)
    one = _Download(remote, folder, bar)
    with _told(one.part):
        return again(one.attempt, waits, what=remote.name, gained=one.gained, kept=KEPT)


class _Download:
    """What one download knows from try to try."""

    def __init__(self, remote: Remote, folder: Path, bar: "tqdm[Any] | None") -> None:
        self.remote, self.target = remote, folder / remote.name
        self.part = Part(self.target)
        self._bar, self._shown = bar, 0
        self._thrown_away = 0  # bytes that came and turned out wrong
        self._faults: list[str] = []
        if bar is not None and self.part.held() is not None:
            self._shown = self.part.size
            if not bar.disable:
                bar.initial += self._shown  # here before: no speed is to be reckoned from it
            bar.update(self._shown)

    def gained(self) -> int:
        return self._thrown_away + self.part.size

    def attempt(self) -> Path:
        """Fetch what is lacking, and give the file its name if it is whole."""
        identity = self._received()
        name = self.remote.name + (".zip" if identity.packed else "")
        try:
            verify.check(
                self.part.path,
                name=name,
                size=self.remote.size,
                total=identity.total,
                md5=identity.md5,
                sha256=self.remote.sha256,
            )
        except verify.NotWholeError as error:
            self._thrown_away += self.part.size
            self.part.drop()
            self._show(0)
            self._faults.append(str(error))
            if str(error) in self._faults[:-1] or len(self._faults) == _MOST_SPOILT:
                raise
            raise PassingError(f"what came is not the file ({error.fault})") from error
        return self.part.finish(self.target.with_name(name))

    def _received(self) -> Identity:
        """Bring the part to its end, and return what it is."""
        held, size = self.part.held(), self.part.size
        if held is None:
            with self._opened({}) as response:
                return self._from_start(response, None)
        if size == held.total:
            return held
        with self._opened(held.range_from(size)) as response:
            if response.status_code == 200:
                return self._from_start(response, held)
            now = identity_of(response)
            is_whole = response.status_code == 416 and held.total is None and now.total == size
            if is_whole and held.matches(now):  # else it may be of another file as long
                return replace(held, total=size)
            if begins_at(response) == size and held.matches(now):
                web_pages.refuse(
                    response, self.remote.name, self.remote.where, b"", _body(response)
                )
                return self._written(response, _body(response), held.joined(now), skip=0)
        with self._opened({}) as response:  # its ranges are of no use
            return self._from_start(response, held)

    def _from_start(self, response: requests.Response, held: Identity | None) -> Identity:
        """Write an answer that begins at the file's first byte, past what is here of the same."""
        if response.status_code != 200:
            raise RemoteError(
                "the server answers with a part of the file where all was asked for",
                file=self.remote.name,
                found=status_words(response.status_code),
                expected=status_words(200),
                fix="run it again later",
            )
        rest = _body(response)
        head = _first(rest)
        web_pages.refuse(response, self.remote.name, self.remote.where, head, rest)
        now, size = identity_of(response), self.part.size
        if held is not None and held.matches(now):
            return self._written(response, chain([head], rest), held.joined(now), skip=size)
        is_packed = unquote(urlsplit(response.url).path).endswith(f"/{self.remote.name}.zip")
        now = replace(now, packed=is_packed and describe(head) == "a zip archive")
        self._check_room(now)
        self.part.begin(now)
        self._show(0)
        return self._written(response, chain([head], rest), now, skip=0)

    def _written(
        self, response: requests.Response, body: Iterator[bytes], identity: Identity, skip: int
    ) -> Identity:
        """Append an answer's bytes but the first `skip`; return the identity, its total known."""
        self._check_room(identity)
        with self.part.path.open("ab", buffering=0) as file:
            for chunk in body:
                partial.append(file, chunk[skip:])
                skip = max(0, skip - len(chunk))
                self._show(file.tell())
        size, total = self.part.size, identity.total
        if total is None and "chunked" in response.headers.get("Transfer-Encoding", "").lower():
            total = size  # its last chunk has come
        if total is not None and size < total:
            raise PassingError("the server sent less than it announced")
        return replace(identity, total=total)

    @contextmanager
    def _opened(self, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """Yield the answer to a request; it is closed in the end."""
        try:
            response = self.remote.open({"Accept-Encoding": "identity", **headers})
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code != 416:
                raise
            response = error.response
        with closing(response):
            if response.status_code not in (200, 206, 416):
                raise RemoteError(
                    "the server's answer is neither the file nor a part of it",
                    file=self.remote.name,
                    found=status_words(response.status_code),
                    expected=status_words(200),
                    fix=f"open {self.remote.where} in a browser to see why",
                )
            encoding = response.headers.get("Content-Encoding", "").strip().lower()
            if encoding not in ("", "identity") and response.status_code != 416:
                raise RemoteError(
                    "the server packs the file on its way, though asked not to",
                    file=self.remote.name,
                    found=f"Content-Encoding: {re.sub('[^a-z0-9, -]', '?', encoding)[:40]}",
                    expected="the file's own bytes",
                    fix=f"download it from {self.remote.where} by hand",
                )
            yield response

    def _check_room(self, identity: Identity) -> None:
        """Raise ResourceError unless the disk has room for the rest."""
        total = identity.total if identity.total is not None else self.remote.size
        rest = max(0, (total or 0) - self.part.size)
        disk_space.require([Need(self.target.parent, rest, f"for the rest of {self.remote.name}")])

    def _show(self, size: int) -> None:
        """Let the bar show so many bytes of this file."""
        if self._bar is not None:
            self._bar.update(size - self._shown)
        self._shown = size


def _body(response: requests.Response) -> Iterator[bytes]:
    """Yield an answer's bytes as they arrive: what came before a cut or a kill is not lost.

    `Response.iter_content` waits until a chunk is full, and drops it if it never is. The
    errors are those that it raises, but that encryption which breaks by now is a cut too.
    """
    try:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
            yield chunk
    except urllib3_errors.ReadTimeoutError as error:
        raise requests.ReadTimeout(error) from error
    except urllib3_errors.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error


def _first(body: Iterator[bytes]) -> bytes:
    """Return an answer's first bytes, enough to tell what it is."""
    head = b""
    for chunk in body:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    return head


@contextmanager
def _told(part: Part) -> Iterator[None]:
    """Turn a full disk into an error of ours."""
    try:
        yield
    except OSError as error:
        if error.errno not in files.FULL:
            raise
        raise ResourceError(
            "the disk is full",
            file=part.path,
            found=f"{part.size:,} bytes of it are here",
            fix=f"make room, and {AGAIN}",
        ) from error
