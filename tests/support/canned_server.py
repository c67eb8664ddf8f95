"""A server on loopback with prepared responses, for what no regular server sends."""

import socket
import threading
from typing import Self


class Canned:
    """Sends one response a request, in order, then the last one again; closes after each.

    Attributes:
        asked: The requests, heads only.
    """

    def __init__(self, *answers: bytes) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/f.bin"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (more := connection.recv(65_536)):
                    head += more
                self.asked.append(head.decode("latin-1"))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)


def answer(status: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return a response's bytes; without a Content-Length unless one is given."""
    rows = [f"HTTP/1.1 {status}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*rows, "Connection: close", "", ""]).encode("latin-1") + body
