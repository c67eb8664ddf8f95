"""Each fault of the loopback server, looked at on the wire."""

import gzip
import random
import socket
import threading
import time
from collections.abc import Iterator
from email.parser import BytesParser

import pytest
import requests

from tests.support.loopback import (
    Corrupt,
    Cut,
    CutAt,
    Drip,
    Fault,
    Gzip,
    Hang,
    IgnoreRange,
    Kaggle,
    Length,
    NewVersion,
    NoAnswer,
    NoHash,
    NoValidators,
    Page,
    Redirect,
    Refuse,
    Stall,
    Status,
    WrongRange,
)

BODY = random.Random(1).randbytes(100_000)
MD5 = "x-goog-hash"


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with Kaggle() as kaggle:
        kaggle.files["/train.zip"] = BODY
        yield kaggle


def get(
    kaggle: Kaggle, path: str = "/train.zip", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Return what comes over the wire: status (0: nothing came), headers, body until the end."""
    rows = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{kaggle.port}"]
    rows += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", kaggle.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*rows, "", ""]).encode())
        with connection.makefile("rb") as stream:
            came = stream.read()
    head, _, body = came.partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    message = BytesParser().parsebytes(fields + b"\r\n\r\n")
    return int(line.split()[1]) if line else 0, dict(message.items()), body


def played(
    kaggle: Kaggle, fault: Fault | tuple[Fault, ...], **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Return what comes with a fault, after which everything is as before."""
    right = get(kaggle, **headers)
    kaggle.play("storage", fault)
    wrong = get(kaggle, **headers)
    assert kaggle.unused_faults() == []
    if not isinstance(fault, NewVersion):
        assert get(kaggle, **headers) == right
    return wrong


def test_a_body_comes_whole_with_its_validators(kaggle: Kaggle) -> None:
    assert get(kaggle)[2] == BODY
    kaggle.files["/hello.csv"] = b"hello"
    assert get(kaggle, "/hello.csv") == (
        200,
        {
            "Content-Type": "text/csv",
            "ETag": '"5d41402abc4b2a76b9719d911017c592"',
            "Last-Modified": "Thu, 10 Aug 2017 01:53:00 GMT",
            "Accept-Ranges": "bytes",
            "x-goog-hash": "md5=XUFAKrxLKna5cZ2REBfFkg==",
            "Content-Length": "5",
            "Connection": "close",
        },
        b"hello",
    )


@pytest.mark.parametrize(
    ("asked", "said", "first", "end"),
    [
        ("bytes=0-", "bytes 0-99999/100000", 0, 100_000),
        ("bytes=99999-", "bytes 99999-99999/100000", 99_999, 100_000),
        ("bytes=5-9", "bytes 5-9/100000", 5, 10),
        ("bytes=99990-200000", "bytes 99990-99999/100000", 99_990, 100_000),
        ("bytes=-3", "bytes 99997-99999/100000", 99_997, 100_000),
    ],
)
def test_a_range_is_honoured(kaggle: Kaggle, asked: str, said: str, first: int, end: int) -> None:
    status, headers, body = get(kaggle, Range=asked)
    assert (status, headers["Content-Range"]) == (206, said)
    assert body == BODY[first:end]
    assert headers["ETag"] == get(kaggle)[1]["ETag"]


def test_a_range_beyond_the_end_and_a_wrong_one(kaggle: Kaggle) -> None:
    status, headers, _ = get(kaggle, Range="bytes=100000-")
    assert (status, headers["Content-Range"]) == (416, "bytes */100000")
    assert get(kaggle, Range="lines=1-")[0] == 200
    assert get(kaggle, Range="bytes=-")[0] == 200


def test_a_range_counts_only_for_what_is_still_the_same(kaggle: Kaggle) -> None:
    about = get(kaggle)[1]
    for validator in (about["ETag"], about["Last-Modified"]):
        assert get(kaggle, Range="bytes=5-", If_Range=validator)[0] == 206
    for validator in ('"other"', "Mon, 24 Jul 2017 12:00:00 GMT", f"W/{about['ETag']}"):
        assert get(kaggle, Range="bytes=5-", If_Range=validator)[0] == 200
    assert get(kaggle, Range="bytes=100000-", If_Range='"other"')[2] == BODY


def test_an_unknown_file_and_an_unsigned_one(kaggle: Kaggle) -> None:
    assert get(kaggle, "/other.zip")[0] == 404
    for path in ("/storage/competitions/x/y", "/storage/datasets/a/b/1/all.zip"):
        assert get(kaggle, path)[0] == 403
        assert get(kaggle, f"{path}?X-Goog-Signature=1")[0] == 404


def test_status(kaggle: Kaggle) -> None:
    status, headers, body = played(kaggle, Status(429, retry_after="7", message="slow down"))
    assert (status, headers["Retry-After"]) == (429, "7")
    assert b"<Message>slow down</Message>" in body
    status, headers, body = played(kaggle, Status(503, html=True, message="Back soon"))
    assert (status, headers["Content-Type"][:9]) == (503, "text/html")
    assert b"<title>Back soon</title>" in body
    assert "Retry-After" not in headers


def test_page(kaggle: Kaggle) -> None:
    status, headers, body = played(kaggle, Page(), Range="bytes=5-")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>Sign in | Kaggle</title>" in body


@pytest.mark.parametrize("tenth", range(11))
def test_cut(kaggle: Kaggle, tenth: int) -> None:
    status, headers, body = played(kaggle, Cut(tenth / 10))
    assert (status, headers["Content-Length"]) == (200, "100000")
    assert body == BODY[: tenth * 10_000]


def test_a_cut_is_of_what_would_be_sent_or_at_a_byte_of_the_whole(kaggle: Kaggle) -> None:
    assert played(kaggle, Cut(0.5), Range="bytes=50000-")[2] == BODY[50_000:75_000]
    assert played(kaggle, CutAt(60_000), Range="bytes=50000-")[2] == BODY[50_000:60_000]
    assert played(kaggle, CutAt(40_000), Range="bytes=50000-")[2] == b""
    assert played(kaggle, CutAt(40_000))[2] == BODY[:40_000]


def test_length(kaggle: Kaggle) -> None:
    for announced in (100_007, 99_990):
        _, headers, body = played(kaggle, Length(announced))
        assert (headers["Content-Length"], body) == (str(announced), BODY)


def test_corrupt(kaggle: Kaggle) -> None:
    _, headers, body = played(kaggle, Corrupt())
    assert [at for at in range(len(BODY)) if body[at] != BODY[at]] == [50_000]
    assert headers == get(kaggle)[1]


def test_no_hash_and_no_validators(kaggle: Kaggle) -> None:
    whole = get(kaggle)[1].keys()
    assert whole - played(kaggle, NoHash())[1].keys() == {MD5}
    assert whole - played(kaggle, NoValidators())[1].keys() == {"ETag", "Last-Modified"}
    assert whole - played(kaggle, NoValidators(keep_last_modified=True))[1].keys() == {"ETag"}


def test_ranges_that_are_ignored_or_wrong(kaggle: Kaggle) -> None:
    status, headers, body = played(kaggle, IgnoreRange(), Range="bytes=50000-")
    assert (status, body, "Content-Range" in headers) == (200, BODY, False)
    status, headers, body = played(kaggle, WrongRange(10), Range="bytes=50000-")
    assert (status, headers["Content-Range"]) == (206, "bytes 49990-99999/100000")
    assert body == BODY[49_990:]


def test_new_version(kaggle: Kaggle) -> None:
    before = get(kaggle)[1]
    after = played(kaggle, NewVersion(b"other"))
    assert after[2] == b"other"
    assert all(before[name] != after[1][name] for name in ("ETag", "Last-Modified", MD5))
    assert get(kaggle) == after
    assert get(kaggle, Range="bytes=3-", If_Range=before["ETag"])[2] == b"other"


def test_redirect(kaggle: Kaggle) -> None:
    kaggle.play("storage", Redirect(2), Redirect(to="http://127.0.0.1:9/x"))
    answer = requests.get(kaggle.url("/train.zip"), timeout=5, allow_redirects=False)
    assert answer.status_code == 302
    place = answer.headers["Location"]
    assert place.startswith(kaggle.url("/train.zip?X-Goog-Expires=900&X-Goog-Signature="))
    assert get(kaggle)[1]["Location"] != place
    assert get(kaggle)[1]["Location"] == "http://127.0.0.1:9/x"
    assert get(kaggle, place.removeprefix(kaggle.url("")))[2] == BODY


def test_gzip(kaggle: Kaggle) -> None:
    _, headers, body = played(kaggle, Gzip())
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == BODY
    assert headers["Content-Length"] == str(len(body))


def test_drip(kaggle: Kaggle) -> None:
    start = time.monotonic()
    assert played(kaggle, Drip(10_000, 0.002))[2] == BODY
    assert time.monotonic() - start >= 10 * 0.002
    assert played(kaggle, Drip(1_000, 0.0))[2] == BODY


@pytest.mark.parametrize("fault", [Refuse(), NoAnswer()])
def test_no_answer_at_all(kaggle: Kaggle, fault: Fault) -> None:
    assert played(kaggle, fault) == (0, {}, b"")
    kaggle.play("storage", fault)
    with pytest.raises(requests.ConnectionError, match="Remote end closed connection"):
        requests.get(kaggle.url("/train.zip"), timeout=5)
    assert [request.status for request in kaggle.requests_of("storage")] == [200, 0, 200, 0]


@pytest.mark.parametrize(
    ("fault", "body_bytes"), [(Hang(600), None), (Stall(0.5, 600), 50_000), (Drip(1, 600), 1)]
)
def test_silence_ends_with_the_server(fault: Fault, body_bytes: int | None) -> None:
    start, came = time.monotonic(), b""
    with Kaggle() as kaggle:
        kaggle.files["/x"] = BODY
        kaggle.play("storage", fault)
        with socket.create_connection(("127.0.0.1", kaggle.port), timeout=60) as connection:
            connection.sendall(f"GET /x HTTP/1.1\r\nHost: 127.0.0.1:{kaggle.port}\r\n\r\n".encode())
            while body_bytes and len(came.partition(b"\r\n\r\n")[2]) < body_bytes:
                came += connection.recv(65_536)
            connection.settimeout(0.02)
            with pytest.raises(TimeoutError):
                connection.recv(1)
    assert time.monotonic() - start < 60


def test_hang_and_stall_that_end(kaggle: Kaggle) -> None:
    assert played(kaggle, Hang(0.001))[2] == BODY
    assert played(kaggle, Stall(0.5, 0.001))[2] == BODY[:50_000]


def test_faults_together_in_order_and_always(kaggle: Kaggle) -> None:
    _, headers, body = played(kaggle, (NoHash(), Cut(0.5)))
    assert (MD5 in headers, len(body)) == (False, 50_000)
    kaggle.always("storage", NoHash())
    kaggle.play("storage", None, Cut(0.1), Status(500))
    seen = [get(kaggle) for _ in range(4)]
    assert [(status, len(body)) for status, _, body in seen[:2]] == [(200, 100_000), (200, 10_000)]
    assert [status for status, _, _ in seen[2:]] == [500, 200]
    assert not any(MD5 in headers for _, headers, _ in seen)
    kaggle.always("storage")
    assert MD5 in get(kaggle)[1]


def test_many_requests_at_once_are_all_answered_and_counted(kaggle: Kaggle) -> None:
    right: list[bool] = []
    threads = [
        threading.Thread(target=lambda: right.append(get(kaggle)[2] == BODY)) for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 50
    assert sum(request.bytes_sent for request in kaggle.requests) == 50 * len(BODY)
