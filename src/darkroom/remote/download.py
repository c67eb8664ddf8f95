"""Download one file: resume after a cut, verify, then rename atomically."""

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
from darkroom.project.names import describe_bytes, path_fault
from darkroom.remote import disk_space, partial, verify, web_pages
from darkroom.remote.disk_space import SpaceNeed
from darkroom.remote.partial import Identity, PartialFile, range_start, response_identity
from darkroom.remote.retry import KEPT, RUN_AGAIN, RetryPolicy, TransientError, retry, status_words

_CHUNK_BYTES = 2**18
_HEAD_BYTES = 512
_MAX_WRONG_DOWNLOADS = 3


class Opener(Protocol):
    """Requests a file from a server, with some headers.

    Returns a streamed response of status 200, 206 or 416; the caller closes it. Raises
    RemoteError for permanent errors, and what requests raises for transient ones.
    """

    def __call__(self, headers: Mapping[str, str]) -> requests.Response:
        """Send one request."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes:
        name: Its name on this disk.
        open: Requests it.
        address: Its address for messages, without a query.
        size: Its bytes in the server's list of files.
        sha256: The sha256 that its bytes must have, hexadecimal.
    """

    name: str
    open: Opener
    address: str
    size: int | None = None
    sha256: str | None = None


def download(
    remote: RemoteFile, folder: Path, *, policy: RetryPolicy, bar: "tqdm[Any] | None" = None
) -> Path:
    """Download a file into a folder and return its path. A partial file never has its name.

    Received bytes go to `<name>.part`, and the identity of their file to `<name>.part.json`, so
    that this run or a later one resumes there. If the server sends `<name>.zip`, a zip around
    the file, it is saved under that name.

    Args:
        remote: The file.
        folder: Created if it does not exist. Only one process at a time may download a name.
        policy: How often to retry, and how long to wait.
        bar: Progress in bytes; bytes that were on the disk before are included.

    Raises:
        RemoteError: The server refuses, fails for too long, or sends something else.
        ResourceError: The disk is too small, or full. The bytes so far are kept.
    """
    if "/" in remote.name or path_fault(remote.name):
        raise RemoteError(
            "an unsafe file name: it may lead out of the download folder",
            found=repr(remote.name),
            expected="a plain name such as train.zip",
            fix="do not use this source",
        )
    folder.mkdir(parents=True, exist_ok=True)
    job = _Download(remote, folder, bar)
    with _full_disk_as_error(job.part):
        return retry(
            job.attempt, policy, what=remote.name, received_bytes=job.received_bytes, hint=KEPT
        )


class _Download:
    """The state of one download, from try to try."""

    def __init__(self, remote: RemoteFile, folder: Path, bar: "tqdm[Any] | None") -> None:
        self.remote, self.target = remote, folder / remote.name
        self.part = PartialFile(self.target)
        self._bar, self._shown = bar, 0
        self._discarded_bytes = 0  # received, but not of the right file
        self._faults: list[str] = []
        if bar is not None and self.part.saved_identity() is not None:
            self._shown = self.part.size
            if not bar.disable:
                bar.initial += self._shown  # not received now, so not part of the speed
            bar.update(self._shown)

    def received_bytes(self) -> int:
        return self._discarded_bytes + self.part.size

    def attempt(self) -> Path:
        """Download the missing bytes, verify the file, and rename it."""
        identity = self._receive()
        name = self.remote.name + (".zip" if identity.packed else "")
        try:
            verify.verify_file(
                self.part.path,
                name=name,
                size=self.remote.size,
                total=identity.total,
                md5=identity.md5,
                sha256=self.remote.sha256,
            )
        except verify.IntegrityError as error:
            self._discarded_bytes += self.part.size
            self.part.discard()
            self._update_bar(0)
            self._faults.append(str(error))
            # The same fault twice: the file itself is wrong, not its way here.
            if str(error) in self._faults[:-1] or len(self._faults) == _MAX_WRONG_DOWNLOADS:
                raise
            raise TransientError(f"the download is not the file ({error.fault})") from error
        return self.part.finish(self.target.with_name(name))

    def _receive(self) -> Identity:
        """Complete the partial file, and return its identity."""
        saved, size = self.part.saved_identity(), self.part.size
        if saved is None:
            with self._request({}) as response:
                return self._receive_from_start(response, None)
        if size == saved.total:
            return saved
        with self._request(saved.range_headers(size)) as response:
            if response.status_code == 200:
                return self._receive_from_start(response, saved)
            new = response_identity(response)
            is_complete = response.status_code == 416 and saved.total is None and new.total == size
            if is_complete and saved.matches(new):  # else another file of the same length
                return replace(saved, total=size)
            if range_start(response) == size and saved.matches(new):
                web_pages.refuse_web_page(
                    response, self.remote.name, self.remote.address, b"", _body(response)
                )
                return self._append(response, _body(response), saved.merged(new), skip=0)
        with self._request({}) as response:  # the server's ranges are of no use
            return self._receive_from_start(response, saved)

    def _receive_from_start(self, response: requests.Response, saved: Identity | None) -> Identity:
        """Write a response that begins at byte 0, except the bytes that are already on the disk."""
        if response.status_code != 200:
            raise RemoteError(
                "the server sent part of the file, but all of it was requested",
                file=self.remote.name,
                found=status_words(response.status_code),
                expected=status_words(200),
                fix="run it again later",
            )
        rest = _body(response)
        head = _first_bytes(rest)
        web_pages.refuse_web_page(response, self.remote.name, self.remote.address, head, rest)
        new, size = response_identity(response), self.part.size
        if saved is not None and saved.matches(new):
            return self._append(response, chain([head], rest), saved.merged(new), skip=size)
        is_packed = unquote(urlsplit(response.url).path).endswith(f"/{self.remote.name}.zip")
        new = replace(new, packed=is_packed and describe_bytes(head) == "a zip archive")
        self._require_space(new)
        self.part.start(new)
        self._update_bar(0)
        return self._append(response, chain([head], rest), new, skip=0)

    def _append(
        self, response: requests.Response, body: Iterator[bytes], identity: Identity, skip: int
    ) -> Identity:
        """Append a response's bytes except the first `skip`; return the identity with its total."""
        self._require_space(identity)
        with self.part.path.open("ab", buffering=0) as file:
            for chunk in body:
                partial.write_all(file, chunk[skip:])
                skip = max(0, skip - len(chunk))
                self._update_bar(file.tell())
        size, total = self.part.size, identity.total
        if total is None and "chunked" in response.headers.get("Transfer-Encoding", "").lower():
            total = size  # the last chunk has arrived
        if total is not None and size < total:
            raise TransientError("the server sent less than it announced")
        return replace(identity, total=total)

    @contextmanager
    def _request(self, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """Yield the response to a request; close it in the end."""
        try:
            response = self.remote.open({"Accept-Encoding": "identity", **headers})
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code != 416:
                raise
            response = error.response
        with closing(response):
            if response.status_code not in (200, 206, 416):
                raise RemoteError(
                    "the server's response is neither the file nor a part of it",
                    file=self.remote.name,
                    found=status_words(response.status_code),
                    expected=status_words(200),
                    fix=f"open {self.remote.address} in a browser to see why",
                )
            encoding = response.headers.get("Content-Encoding", "").strip().lower()
            if encoding not in ("", "identity") and response.status_code != 416:
                raise RemoteError(
                    "the server compresses the file, although it was asked not to",
                    file=self.remote.name,
                    found=f"Content-Encoding: {re.sub('[^a-z0-9, -]', '?', encoding)[:40]}",
                    expected="the file's own bytes",
                    fix=f"download it from {self.remote.address} in a browser",
                )
            yield response

    def _require_space(self, identity: Identity) -> None:
        """Raise ResourceError unless the rest of the file fits on the disk."""
        total = identity.total if identity.total is not None else self.remote.size
        rest = max(0, (total or 0) - self.part.size)
        disk_space.require_space(
            [SpaceNeed(self.target.parent, rest, f"for the rest of {self.remote.name}")]
        )

    def _update_bar(self, size: int) -> None:
        """Show so many bytes of this file on the bar."""
        if self._bar is not None:
            self._bar.update(size - self._shown)
        self._shown = size


def _body(response: requests.Response) -> Iterator[bytes]:
    """Yield a response's bytes as they arrive, so that none are lost by a cut or a kill.

    `Response.iter_content` waits until a chunk is full, and drops it at a cut. The errors are
    those that it raises, except that broken encryption counts as a cut as well.
    """
    try:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
            yield chunk
    except urllib3_errors.ReadTimeoutError as error:
        raise requests.ReadTimeout(error) from error
    except urllib3_errors.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error


def _first_bytes(body: Iterator[bytes]) -> bytes:
    """Return a body's first bytes, enough to recognise the type of file."""
    head = b""
    for chunk in body:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    return head


@contextmanager
def _full_disk_as_error(part: PartialFile) -> Iterator[None]:
    """Turn the OSError of a full disk into a ResourceError."""
    try:
        yield
    except OSError as error:
        if error.errno not in files.DISK_FULL:
            raise
        raise ResourceError(
            "the disk is full",
            file=part.path,
            found=f"{part.size:,} bytes of the file are downloaded",
            fix=f"free some space, and {RUN_AGAIN}",
        ) from error
