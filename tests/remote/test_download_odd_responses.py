"""Downloads from servers that answer as no tidy server does."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests
from urllib3.exceptions import SSLError

from darkroom.errors import RemoteError
from darkroom.remote.download import Opener, RemoteFile, download
from darkroom.remote.https import opener
from darkroom.remote.retry import RetryPolicy, public_address
from tests.support.canned_server import Canned, answer

CHUNKED = {"Transfer-Encoding": "chunked", "ETag": '"a"'}


def _canned(
    folder: Path, *answers: bytes, name: str = "f.bin", tries: int = 3, **given: Any
) -> Path:
    with Canned(*answers) as server:
        remote = RemoteFile(name, opener(server.url), public_address(server.url), **given)
        return download(
            remote, folder, policy=RetryPolicy(tries=tries, sleep=lambda _: None), bar=None
        )


def test_a_chunked_body_is_whole_with_its_last_chunk(tmp_path: Path) -> None:
    whole = answer("200 OK", CHUNKED, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert _canned(tmp_path, whole).read_bytes() == b"abcde"
    for cut in (b"3\r\nabc\r\n", b"3\r\nab", b"3\r\nabc\r\n2\r\nde\r\n", b""):
        with pytest.raises(RemoteError, match="the connection was cut"):
            _canned(tmp_path, answer("200 OK", CHUNKED, cut), name="g.bin", tries=1)
        assert not (tmp_path / "g.bin").exists()


def _strict(url: str) -> Opener:
    """Return an opener that raises for every refusal, a 416 too, as Kaggle's client does."""

    def open_(headers: Mapping[str, str]) -> requests.Response:
        response = opener(url)(headers)
        if response.status_code >= 400:
            raise requests.HTTPError(response=response)
        return response

    return open_


@pytest.mark.parametrize("make", [opener, _strict])
@pytest.mark.parametrize("total", [600, 601])
def test_a_416_completes_a_part_only_if_its_size_is_the_total(
    tmp_path: Path, make: Callable[[str], Opener], total: int
) -> None:
    body = Random(1).randbytes(total)
    cut = answer("200 OK", CHUNKED, b"258\r\n" + body[:600] + b"\r\n")
    none = answer("416 Range Not Satisfiable", {"Content-Range": f"bytes */{total}", "ETag": '"a"'})
    whole = answer("200 OK", {"Content-Length": "601", "ETag": '"a"'}, body)
    with Canned(cut, none, whole) as server:
        remote = RemoteFile("f.bin", make(server.url), "here")
        path = download(remote, tmp_path, policy=RetryPolicy(sleep=lambda _: None), bar=None)
        assert len(server.asked) == total - 600 + 2
    assert path.read_bytes() == body


@pytest.mark.parametrize("headers", [{}, {"ETag": '"b"'}])
def test_a_416_without_the_same_etag_does_not_complete_a_part(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    old, new = Random(1).randbytes(900), Random(2).randbytes(600)
    cut = answer("200 OK", CHUNKED, b"258\r\n" + old[:600] + b"\r\n")
    none = answer("416 Range Not Satisfiable", {"Content-Range": "bytes */600", **headers})
    whole = answer("200 OK", {"Content-Length": "600", "ETag": '"b"'}, new)
    assert _canned(tmp_path, cut, none, whole).read_bytes() == new


def _range(start: int, end: int, body: bytes, etag: str = '"a"') -> bytes:
    place = f"bytes {start}-{end - 1}/{len(body)}"
    length = str(end - start)
    headers = {"ETag": etag, "Content-Range": place, "Content-Length": length}
    return answer("206 Partial Content", headers, body[start:end])


def test_a_short_range_is_followed_by_another_request(tmp_path: Path) -> None:
    body = Random(1).randbytes(1000)
    cut = answer("200 OK", {"ETag": '"a"', "Content-Length": "1000"}, body[:600])
    with Canned(cut, _range(600, 800, body), _range(800, 1000, body)) as server:
        remote = RemoteFile("f.bin", opener(server.url), "here")
        path = download(remote, tmp_path, policy=RetryPolicy(sleep=lambda _: None), bar=None)
        assert ["Range: bytes=800-" in asked for asked in server.asked] == [False, False, True]
    assert path.read_bytes() == body


@pytest.mark.parametrize("etag", ['"b"', 'W/"a"'])
def test_a_part_of_another_version_is_not_appended(tmp_path: Path, etag: str) -> None:
    old, new = Random(1).randbytes(1000), Random(2).randbytes(1000)
    cut = answer("200 OK", {"ETag": '"a"', "Content-Length": "1000"}, old[:600])
    whole = answer("200 OK", {"ETag": '"b"', "Content-Length": "1000"}, new)
    assert _canned(tmp_path, cut, _range(600, 1000, new, etag), whole).read_bytes() == new


def test_a_body_of_unknown_length_is_refused(tmp_path: Path) -> None:
    endless = answer("200 OK", {"ETag": '"a"'}, b"abcde")
    with pytest.raises(RemoteError) as caught:
        _canned(tmp_path, endless)
    assert "its size is not known" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert _canned(tmp_path, endless, size=5).read_bytes() == b"abcde"


def test_a_206_without_a_range_request_is_refused(tmp_path: Path) -> None:
    some = answer(
        "206 Partial Content", {"Content-Range": "bytes 3-4/5", "Content-Length": "2"}, b"de"
    )
    with pytest.raises(RemoteError, match="found: 206 Partial Content"):
        _canned(tmp_path, some)
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_announced_are_discarded(tmp_path: Path) -> None:
    body = Random(1).randbytes(1000)
    head = {"ETag": '"a"', "Content-Length": "1000"}
    cut = answer("200 OK", head, body[:600])
    more = answer(
        "206 Partial Content",
        {"ETag": '"a"', "Content-Range": "bytes 600-999/1000", "Content-Length": "401"},
        body[600:] + b"!",
    )
    assert _canned(tmp_path, cut, more, answer("200 OK", head, body)).read_bytes() == body


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "299 Odd"])
def test_statuses_that_openers_should_not_return_are_refused(tmp_path: Path, status: str) -> None:
    with Canned(answer(status, {})) as server:
        remote = RemoteFile("f", lambda _: requests.get(server.url, stream=True, timeout=9), "here")
        with pytest.raises(RemoteError) as caught:
            download(remote, tmp_path, policy=RetryPolicy(tries=1), bar=None)
    assert str(caught.value).splitlines() == [
        "f: the server's response is neither the file nor a part of it",
        f"  found: {status.replace(' Odd', '')}",
        "  expected: 200 OK",
        "  to do: open here in a browser to see why",
    ]


class _Broken(io.BytesIO):
    """A body whose encrypted connection breaks."""

    def read1(self, *_: Any, **__: Any) -> bytes:
        raise SSLError("tlsv13 alert certificate required")


def test_an_encrypted_connection_that_breaks_in_a_body_is_a_cut(tmp_path: Path) -> None:
    def open_(headers: Mapping[str, str]) -> requests.Response:
        response = requests.Response()
        response.status_code, response.raw = 200, _Broken()
        return response

    with pytest.raises(RemoteError, match="gave up after 2 failures") as caught:
        download(
            RemoteFile("f", open_, "here"),
            tmp_path,
            policy=RetryPolicy(tries=2, sleep=lambda _: None),
        )
    assert "found: the connection was cut" in str(caught.value)
