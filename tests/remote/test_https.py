from collections.abc import Iterator

import pytest
import requests

from darkroom.errors import RemoteError
from darkroom.remote import retry
from darkroom.remote.https import opener
from tests.support.loopback import Hang, Kaggle, Redirect, Status

HEADERS = {"Accept-Encoding": "identity"}


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with Kaggle() as kaggle:
        kaggle.files["/a.csv"] = b"1,2\n"
        yield kaggle
        assert kaggle.unused_faults() == []


def test_a_response_is_streamed_with_the_given_headers(kaggle: Kaggle) -> None:
    with opener(kaggle.url("/a.csv"))({**HEADERS, "Range": "bytes=2-"}) as response:
        assert response.status_code == 206
        assert response.raw.read() == b"2\n"
    with opener(kaggle.url("/a.csv"))({**HEADERS, "Range": "bytes=4-"}) as response:
        assert response.status_code == 416


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, ["the server asks for a login", "401 Unauthorized", "download it in a browser, and"]),
        (403, ["does not allow public access", "403 Forbidden", "set data.source to the folder"]),
        (404, ["there is no such file", "404 Not Found", "correct the address"]),
        (410, ["the file is no longer there", "410 Gone", "find its new address"]),
        (400, ["the server refuses", "400 Bad Request", "open the address in a browser"]),
    ],
)
def test_a_refusal_says_what_to_do(kaggle: Kaggle, status: int, words: list[str]) -> None:
    kaggle.play("storage", Status(status, message="s3cret"))
    with pytest.raises(RemoteError) as caught:
        opener(kaggle.url("/a.csv?sig=s3cret"))(HEADERS)
    text = str(caught.value)
    assert text.startswith(kaggle.url("/a.csv: "))
    assert [word for word in words if word not in text] == []
    assert "s3cret" not in text


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_transient_errors_are_left_to_the_caller(kaggle: Kaggle, status: int) -> None:
    kaggle.play("storage", Status(status, retry_after="9"))
    with pytest.raises(requests.HTTPError) as caught:
        opener(kaggle.url("/a.csv?sig=s3cret"))(HEADERS)
    assert caught.value.response is not None
    assert caught.value.response.headers["Retry-After"] == "9"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "to", ["http://example.org/a.csv?sig=s3cret", "ftp://example.org/a", "file:///a"]
)
def test_a_redirect_out_of_https_is_not_followed(kaggle: Kaggle, to: str) -> None:
    kaggle.play("storage", Redirect(to=to))
    with pytest.raises(RemoteError) as caught:
        opener(kaggle.url("/a.csv"))(HEADERS)
    assert "not an encrypted address" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert len(kaggle.requests) == 1


@pytest.mark.parametrize("url", ["http://example.org/a", "ftp://localhost/a", "file:///a", "a"])
def test_only_https_is_requested(url: str) -> None:
    with pytest.raises(RemoteError, match=r"expected: https://…"):
        opener(url)(HEADERS)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("a..org", "the request failed (LocationParseError)"),
        (f"{'a' * 70}.org", "the request failed (LocationParseError)"),
    ],
)
def test_an_address_that_fails_is_shown_without_its_query(host: str, words: str) -> None:
    with pytest.raises(RemoteError) as caught:
        opener(f"https://{host}/a?sig=s3cret")(HEADERS)
    assert f": can't be fetched\n  found: {words}\n  to do: fix that, and run it again" in str(
        caught.value
    )
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("place", ["h:99999", "h:x", "[::1"])
def test_an_address_that_cannot_be_read_is_refused(place: str, kaggle: Kaggle) -> None:
    with pytest.raises(RemoteError) as caught:
        opener(f"https://{place}/a?sig=s3cret")(HEADERS)
    assert "can't be fetched\n  found: an address that can't be read" in str(caught.value)
    kaggle.always("storage", Redirect(1, f"https://{place}/?sig=s3cret"))
    with pytest.raises(RemoteError) as caught:
        opener(kaggle.url("/a.csv"))(HEADERS)
    assert str(caught.value).splitlines() == [
        f"{kaggle.url('/a.csv')}: can't be fetched",
        "  found: an address that can't be read",
        "  expected: https://…",
        "  to do: find an https address of the file",
    ]


def test_endless_redirects_are_refused_without_the_query(kaggle: Kaggle) -> None:
    kaggle.always("storage", Redirect())
    with pytest.raises(RemoteError) as caught:
        opener(kaggle.url("/a.csv?sig=s3cret"))(HEADERS)
    assert str(caught.value).splitlines()[:2] == [
        f"{kaggle.url('/a.csv')}: can't be fetched",
        "  found: the server redirects without end",
    ]


def test_a_silent_server_times_out(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "TIMEOUTS_S", (5.0, 0.1))
    kaggle.play("storage", Hang(60))
    with pytest.raises(requests.ReadTimeout):
        opener(kaggle.url("/a.csv"))(HEADERS)
