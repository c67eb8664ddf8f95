"""A server on loopback that imitates Kaggle and its storage for the real clients.

The clients are pointed at it by their environment alone (`Kaggle.environment`): their
requests for `http://localhost` come to it as to a proxy. Nothing else is let out: requests for
other hosts are recorded as `outside` and refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
import threading
from collections import defaultdict, deque
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import quote

import pytest

from tests.support.loopback import routing, service, storage, submitting
from tests.support.loopback.faults import (
    CutBody,
    Fault,
    IgnoreRange,
    NewVersion,
    Redirect,
    Refuse,
    WrongRange,
    bend,
    instead,
)
from tests.support.loopback.protocol import Answer, Request, read_body, read_request, send

TOKEN = "KGAT_5ecre7-0f-7he-7es7"
WRONG_TOKEN = "KGAT_wr0ng-0f-7he-7es7"
USERNAME, KEY = "darkroom", "0123456789abcdef-key"


class Kaggle:
    """Kaggle, while the `with` lasts.

    Attributes:
        competitions, datasets, files, notebooks: What it has, by slug, by owner/name, by path,
            by owner/name; may be changed at any time.
        requests: All that came in, in order; written before their answer is sent.
        home: A folder that the clients take for the user's.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._service = service.Service(self._signed, TOKEN, USERNAME, KEY)
        self.competitions = self._service.competitions
        self.datasets = self._service.datasets
        self.files = self._service.files
        self.notebooks = self._service.notebooks
        self._played: dict[str, deque[tuple[Fault, ...]]] = defaultdict(deque)
        self._always: dict[str, tuple[Fault, ...]] = {}
        self._digests: dict[str, tuple[bytes, bytes]] = {}
        self._signatures = 0
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="kaggle-")
        self.home = Path(self._folder.name)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="kaggle", daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        with self._lock:
            still = dict(self._connections)
        for connection, thread in still.items():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()
        self._folder.cleanup()

    def url(self, path: str) -> str:
        """Return the address of a plain file."""
        return f"http://127.0.0.1:{self.port}{path}"

    def environment(self, token: str | None = TOKEN) -> dict[str, str | None]:
        """Return the environment variables (None: unset) that lead the clients to this server.

        Args:
            token: The account's; None: there is none.
        """
        proxy = self.url("")
        stray = {name: None for name in os.environ if name.startswith("KAGGLE")}
        return {
            **stray,
            **dict.fromkeys(("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"), None),
            **dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME"), None),
            **dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), proxy),
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "KAGGLE_API_TOKEN": token,
            "KAGGLE_CONFIG_DIR": str(self.home / ".kaggle"),
            "KAGGLEHUB_CACHE": str(self.home / ".cache" / "kagglehub"),
            "KAGGLE_USERNAME": None,
            "KAGGLE_KEY": None,
            "DARKROOM_CACHE": None,
            "HOME": str(self.home),
        }

    def environ(self, token: str | None = TOKEN) -> dict[str, str]:
        """Return the complete environment of a process whose clients use this server."""
        given = self.environment(token)
        kept = {name: value for name, value in os.environ.items() if name not in given}
        return kept | {name: value for name, value in given.items() if value is not None}

    def redirect_clients(self, monkeypatch: pytest.MonkeyPatch, token: str | None = TOKEN) -> None:
        """Let the clients of this process use this server for the length of a test."""
        for name, value in self.environment(token).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    def play(self, kind: str, *faults: Fault | tuple[Fault, ...] | None) -> None:
        """Give the next requests of a kind a fault, one each; None: that one succeeds."""
        for fault in faults:
            if isinstance(fault, Redirect):
                self._played[kind].extend([(fault,)] * fault.count)
            else:
                several = fault if isinstance(fault, tuple) else (fault,)
                self._played[kind].append(tuple(one for one in several if one is not None))

    def always(self, kind: str, *faults: Fault) -> None:
        """Give every request of a kind faults, besides those of `play`; none: stop that."""
        self._always[kind] = faults

    def unused_faults(self) -> list[str]:
        """Return the kinds of requests for which faults are left."""
        return sorted(kind for kind, faults in self._played.items() if faults)

    def requests_of(self, kind: str) -> list[Request]:
        """Return the requests of a kind, in order."""
        return [request for request in self.requests if request.kind == kind]

    def _signed(self, path: str) -> str:
        self._signatures += 1
        signature = hashlib.sha256(f"{path} {self._signatures}".encode()).hexdigest()
        return self.url(f"{path}?X-Goog-Expires=900&X-Goog-Signature={signature}")

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="kaggle", daemon=True
            )
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream, suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                request = read_request(stream)
                if request is not None:
                    answer = self._answer(stream, request)
                    send(connection, request, answer, self._stopping)
        finally:
            with self._lock:
                del self._connections[connection]

    def _answer(self, stream: BinaryIO, request: Request) -> Answer:
        request.kind = routing.kind(request, self.port)
        request.range_start = storage.range_start(request)
        with self._lock:
            self.requests.append(request)
            played = self._played[request.kind]
            faults = (*self._always.get(request.kind, ()), *(played.popleft() if played else ()))
        if Refuse() in faults:
            return Answer(silent=True)
        limit = next(
            (int(f.share * request.length) for f in faults if isinstance(f, CutBody)), None
        )
        body = read_body(stream, request, limit)
        with self._lock:
            answers = (instead(fault, request, self._again(request)) for fault in faults)
            answer = next((one for one in answers if one), None)
            answer = answer or self._act(request, body, faults)
        for fault in faults:
            answer = bend(answer, fault)
        return answer

    def _again(self, request: Request) -> str:
        return self._signed(quote(request.path))

    def _act(self, request: Request, body: bytes, faults: tuple[Fault, ...]) -> Answer:
        if request.kind == "outside":
            return storage.error(502, f"{request.host} is outside")
        signed = "X-Goog-Signature" in request.query
        if request.kind == "upload":
            return submitting.put(self._service, request, body) if signed else _unsigned()
        if request.kind != "storage":
            request.body = json.loads(body or b"{}")
            return routing.call(self._service, request)
        if request.path.startswith("/storage/") and not signed:
            return _unsigned()
        return self._stored(request, faults)

    def _stored(self, request: Request, faults: tuple[Fault, ...]) -> Answer:
        for fault in faults:
            held = service.locate(self._service, request.path)
            if isinstance(fault, NewVersion) and held:
                held.replace(fault.body)
            if isinstance(fault, WrongRange) and request.range_start:
                start = max(0, request.range_start - fault.bytes_before)
                request.headers["range"] = f"bytes={start}-"
        held = service.locate(self._service, request.path)
        if held is None:
            return storage.error(404, "The specified key does not exist.")
        ranges = not any(isinstance(fault, IgnoreRange) for fault in faults)
        digest = self._digest(request.path, held.body)
        return storage.serve(request, held.name, held.body, digest, ranges=ranges)

    def _digest(self, path: str, body: bytes) -> bytes:
        """Return the md5 of a body, cached as long as the same body is requested."""
        known = self._digests.get(path)
        if known is None or known[0] is not body:
            known = self._digests[path] = (body, storage.md5(body))
        return known[1]


def _unsigned() -> Answer:
    return storage.error(403, "Anonymous caller does not have access to the object.")
