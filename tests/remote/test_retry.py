import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NameResolutionError, ProtocolError

from darkroom.errors import RemoteError
from darkroom.remote.retry import (
    KEPT,
    RetryPolicy,
    TransientError,
    is_caused_by,
    is_transient,
    parse_http_date,
    public_address,
    reason,
    retry,
    retry_after_s,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _answer(status: int, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code, response.raw = status, io.BytesIO()
    response.headers.update({name.replace("_", "-"): text for name, text in headers.items()})
    return response


def _refused(status: int, **headers: str) -> requests.HTTPError:
    return requests.HTTPError("?X-Goog-Signature=s3cret", response=_answer(status, **headers))


class Tries:
    """Fails with one error after the other, then returns "done"; counts the seconds slept."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.slept, self.calls = list(errors), list[float](), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def policy(self, **given: float) -> RetryPolicy:
        return RetryPolicy(sleep=self.slept.append, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_a_transient_status(status: int) -> None:
    assert is_transient(_refused(status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 416, 422])
def test_a_permanent_status(status: int) -> None:
    assert not is_transient(_refused(status))


def _unresolved() -> requests.ConnectionError:
    cause = NameResolutionError("kaggle.com", None, OSError())  # type: ignore[arg-type]
    return requests.ConnectionError(MaxRetryError(None, "/f?sig=s3cret", cause))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.ConnectionError("refused"), "the server could not be reached"),
        (requests.ConnectionError(ProtocolError("aborted")), "the connection was cut"),
        (requests.exceptions.ChunkedEncodingError("cut"), "the connection was cut"),
        (requests.ReadTimeout("slow"), "the server did not answer in time"),
        (requests.ConnectTimeout("slow"), "the server did not answer in time"),
        (requests.exceptions.SSLError("EOF occurred"), "the encrypted connection broke"),
        (_unresolved(), "the server's name is not known (is the network up?)"),
        (TransientError("it came short"), "it came short"),
        (_refused(503), "the server answered 503 Service Unavailable"),
        (_refused(599), "the server answered 599"),
    ],
)
def test_transient_errors_and_their_words(error: Exception, words: str) -> None:
    assert is_transient(error)
    assert reason(error) == words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify"),
            "the server's certificate is not trusted",
        ),
        (requests.TooManyRedirects("30"), "the server redirects without end"),
        (requests.exceptions.InvalidURL("s3cret"), "the request failed (InvalidURL)"),
        (ValueError("s3cret"), "the request failed (ValueError)"),
    ],
)
def test_permanent_errors_and_their_words(error: Exception, words: str) -> None:
    assert not is_transient(error)
    assert reason(error) == words


def test_waits_double_up_to_the_longest(capsys: pytest.CaptureFixture[str]) -> None:
    tries = Tries(*[requests.ConnectionError("refused")] * 5)
    assert retry(tries, tries.policy(longest_wait_s=5.0), what="train.zip") == "done"
    assert tries.slept == [1.0, 2.0, 4.0, 5.0, 5.0]
    lines = capsys.readouterr().err.splitlines()
    assert lines[2] == "train.zip: the server could not be reached; retry in 4 s (3 of 8)"


def test_gives_up_after_so_many_failures_in_a_row() -> None:
    tries = Tries(*[_refused(503)] * 9)
    with pytest.raises(RemoteError) as caught:
        retry(tries, tries.policy(), what="train.zip", hint=KEPT)
    assert tries.calls == 8
    assert tries.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert str(caught.value).splitlines() == [
        "train.zip: gave up after 8 failures in a row",
        "  found: the server answered 503 Service Unavailable",
        "  to do: run it again: what is already downloaded is kept",
    ]


def test_only_a_download_is_said_to_be_kept() -> None:
    for error, words in (
        (_refused(503), "  to do: run it again"),
        (_refused(429, Retry_After="7200"), "  to do: run it again after that pause"),
    ):
        tries = Tries(*[error] * 9)
        with pytest.raises(RemoteError) as caught:
            retry(tries, tries.policy(), what="the list of files")
        assert str(caught.value).splitlines()[-1] == words


def test_new_bytes_reset_the_count_of_failures() -> None:
    gained = [0]

    def work() -> None:
        gained[0] += 1 if gained[0] < 20 else 0
        raise requests.ReadTimeout

    slept: list[float] = []
    with pytest.raises(RemoteError, match="gave up after 3 failures"):
        retry(
            work,
            RetryPolicy(tries=3, sleep=slept.append),
            what="f",
            received_bytes=lambda: gained[0],
        )
    assert slept == [1.0] * 20 + [2.0]


def test_bytes_from_before_do_not_reset_the_count() -> None:
    tries = Tries(*[requests.ReadTimeout()] * 9)
    with pytest.raises(RemoteError, match="gave up after 8 failures"):
        retry(tries, tries.policy(), what="f", received_bytes=lambda: 500)


@pytest.mark.parametrize("error", [_refused(403), RemoteError("no"), KeyError("x")])
def test_other_errors_are_raised_at_once(error: Exception) -> None:
    tries = Tries(error)
    with pytest.raises(type(error)) as caught:
        retry(tries, tries.policy(), what="f")
    assert caught.value is error
    assert tries.slept == []


@pytest.mark.parametrize(
    ("status", "asked", "slept"),
    [(429, "30", 30.0), (503, "120", 120.0), (429, "0", 1.0), (429, "soon", 1.0), (429, "-5", 1.0)],
)
def test_retry_after_in_seconds_is_respected(status: int, asked: str, slept: float) -> None:
    tries = Tries(_refused(status, Retry_After=asked))
    retry(tries, tries.policy(), what="f")
    assert tries.slept == [slept]


def test_retry_after_may_be_a_date() -> None:
    until = format_datetime(NOW + timedelta(seconds=45), usegmt=True)
    now = format_datetime(NOW, usegmt=True)
    assert retry_after_s(_answer(503, Retry_After=until, Date=now)) == 45.0
    assert retry_after_s(_answer(503, Retry_After=now, Date=until)) == 0.0
    assert retry_after_s(_answer(503, Retry_After=until)) == 0.0  # long past by this clock
    assert retry_after_s(_answer(503)) is None


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("Mon, 24 Jul 2017 12:00:00 GMT", "2017-07-24T12:00:00+00:00"),
        ("Mon, 24 Jul 2017 12:00:00 -0000", "2017-07-24T12:00:00+00:00"),
        ("Mon, 24 Jul 2017 14:00:00 +0200", "2017-07-24T12:00:00+00:00"),
        ("Fri, 31 Dec 9999 23:00:00 -0200", None),  # past the last year
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_of_a_header_is_in_utc(text: str, iso: str | None) -> None:
    date = parse_http_date(text)
    assert (date.isoformat() if date else None) == iso


def test_the_cause_of_an_error_is_recognised() -> None:
    assert is_caused_by(_unresolved(), NameResolutionError)
    assert not is_caused_by(_unresolved(), ProtocolError)
    assert is_caused_by(requests.ConnectionError(ProtocolError("aborted")), ProtocolError)
    assert not is_caused_by(requests.ConnectionError(), ProtocolError)


@pytest.mark.parametrize(
    ("asked", "words"), [("7200", "2 h"), ("1000", "17 min"), ("9" * 400, "inf h")]
)
def test_a_pause_that_is_too_long_gives_up(asked: str, words: str) -> None:
    tries = Tries(_refused(429, Retry_After=asked))
    with pytest.raises(RemoteError) as caught:
        retry(tries, tries.policy(), what="train.zip", hint=KEPT)
    assert tries.slept == []
    assert str(caught.value).splitlines() == [
        "train.zip: the server answered 429 Too Many Requests, and asks for a long pause",
        f"  found: a pause of {words}",
        "  expected: at most 15 min",
        "  to do: run it again after that pause: what is already downloaded is kept",
    ]


@pytest.mark.parametrize("last", [_refused(503), requests.ConnectionError("?sig=s3cret")])
def test_an_address_is_neither_printed_nor_chained(
    last: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = Tries(last, last)
    with pytest.raises(RemoteError) as caught:
        retry(tries, tries.policy(tries=2), what="f")
    assert caught.value.__suppress_context__
    assert "s3cret" not in str(caught.value) + capsys.readouterr().err


def _closed(error: requests.HTTPError) -> Callable[[], bool]:
    assert error.response is not None
    raw = error.response.raw
    return lambda: bool(raw.closed)


def test_a_refusing_answer_is_closed() -> None:
    error = _refused(503)
    closed = _closed(error)
    tries = Tries(error)
    retry(tries, tries.policy(), what="f")
    assert closed()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.org/a/b.zip?X-Goog-Signature=abc#x", "https://h.org/a/b.zip"),
        ("https://me:s3cret@h.org:8443/a", "https://h.org:8443/a"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("https://[bad/a?b", "an address that can't be read"),
        ("https://h.org:port/a?b", "an address that can't be read"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert public_address(url) == shown
