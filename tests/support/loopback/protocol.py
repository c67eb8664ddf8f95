"""HTTP/1.1 as far as the server needs it: a request read, an answer sent.

Every answer ends its connection, so that nothing of one request reaches the next
(RFC 9112, sections 2 to 6 and 9.6).
"""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

CHUNK_BYTES = 1 << 20
REASONS = {
    200: "OK", 201: "Created", 206: "Partial Content", 302: "Found", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
    416: "Range Not Satisfiable", 429: "Too Many Requests", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable",
}  # fmt: skip


@dataclass
class Request:
    """A request, and how it was answered.

    Attributes:
        kind: A method of Kaggle's interface, `storage`, `upload`, or `outside` for
            anything that was meant for another host.
        path: Decoded, without the query.
        headers: By lower-case name.
        body: JSON of a call, read; {} elsewhere.
        status: Of the answer; 0 when none was sent.
        range_start: The first byte asked for, None without a Range.
        bytes_sent: Of the answer's body, given to the connection.
        bytes_received: Of the request's body.
    """

    kind: str
    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    range_start: int | None = None
    bytes_sent: int = 0
    bytes_received: int = 0

    @property
    def authorization(self) -> str | None:
        """The Authorization header."""
        return self.headers.get("authorization")

    @property
    def length(self) -> int:
        """The announced size of the request's body, bytes."""
        return int(self.headers.get("content-length", "0"))


@dataclass
class Answer:
    """An answer, and what is to go wrong with sending it.

    Attributes:
        first: Where in the whole object the body begins, bytes.
        length: Announced instead of the body's size.
        cut: The connection is closed after this many bytes of the body.
        silent: The connection is closed without an answer.
        wait: Seconds of silence before the answer.
        stall: Seconds of silence when `cut` is reached.
        drip: Bytes a send, and seconds after each.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | memoryview = b""
    first: int = 0
    length: int | None = None
    cut: int | None = None
    silent: bool = False
    wait: float = 0.0
    stall: float = 0.0
    drip: tuple[int, float] | None = None


def json_answer(content: dict[str, Any], status: int = 200) -> Answer:
    """Return an answer in JSON."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status, headers, json.dumps(content).encode())


def refusal(status: int, message: str) -> Answer:
    """Return an error as Kaggle words it: a code and a message, in JSON."""
    return json_answer({"code": status, "message": message}, status)


def read_request(stream: BinaryIO) -> Request | None:
    """Read a request up to its body; None if the other side went away."""
    line = stream.readline(65_536).split()
    if len(line) != 3:
        return None
    method, target = line[0].decode(), line[1].decode()
    headers: dict[str, str] = {}
    while (row := stream.readline(65_536)) not in (b"\r\n", b"\n", b""):
        name, _, value = row.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    url = urlsplit(target if "://" in target else f"http://{headers.get('host', '')}{target}")
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request("", method, url.netloc, unquote(url.path), query, headers)


def read_body(stream: BinaryIO, request: Request, stop_after: int | None = None) -> bytes:
    """Return the request's body, or as much of it as arrives, at most `stop_after` bytes."""
    wanted = request.length if stop_after is None else min(stop_after, request.length)
    body = stream.read(wanted)
    request.bytes_received = len(body)
    return body


def send(
    connection: socket.socket, request: Request, answer: Answer, stopping: threading.Event
) -> None:
    """Send an answer; what was sent is counted before it goes, so that a reader can rely on it.

    Raises:
        OSError: If the other side does not want it (any more).
    """
    stopping.wait(answer.wait)
    if answer.silent or stopping.is_set():
        return
    request.status = answer.status
    connection.sendall(_head(answer))
    if request.method == "HEAD":
        return
    body = memoryview(answer.body)[: answer.cut]
    step, pause = answer.drip or (CHUNK_BYTES, 0.0)
    for start in range(0, len(body), step):
        part = body[start : start + step]
        request.bytes_sent += len(part)
        connection.sendall(part)
        if pause and stopping.wait(pause):
            return
    stopping.wait(answer.stall)


def _head(answer: Answer) -> bytes:
    length = len(answer.body) if answer.length is None else answer.length
    reason = REASONS.get(answer.status, "Unknown")
    rows = [f"HTTP/1.1 {answer.status} {reason}"]
    rows += [f"{name}: {value}" for name, value in answer.headers.items()]
    rows += [f"Content-Length: {length}", "Connection: close", "", ""]
    return "\r\n".join(rows).encode("latin-1")
