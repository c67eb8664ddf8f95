"""Kaggle's real clients under watch: each request once, and none for ever."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api
from darkroom.remote.retry import is_transient
from tests.support.kaggle_client import REF, SLUG, send, shorten_timeout, words
from tests.support.loopback import Hang, Kaggle, NoAnswer, Redirect, Refuse, Stall, Status


@pytest.mark.parametrize("kind", ["DownloadDataFile", "storage"])
@pytest.mark.parametrize(
    "fault",
    [Status(429, retry_after="7"), Status(503, html=True), Status(500), Refuse(), NoAnswer()],
)
def test_transient_errors_are_left_to_the_caller(
    server: Kaggle, kind: str, fault: Status | Refuse | NoAnswer
) -> None:
    server.play(kind, fault)
    with pytest.raises(requests.RequestException) as error:
        api.competition_file_opener(SLUG, "train.zip")({})
    assert is_transient(error.value)
    assert len(server.requests_of(kind)) == 1
    if isinstance(fault, Status):
        assert error.value.response is not None
        assert error.value.response.headers.get("Retry-After") == fault.retry_after


CALLS: dict[str, Callable[[Path], object]] = {
    "ListDataFiles": lambda _: api.list_competition_files(SLUG),
    "DownloadDataFile": lambda _: api.competition_file_opener(SLUG, "train.zip")({}),
    "storage": lambda _: api.dataset_bundle_opener(REF)({}),
    "GetDataset": lambda _: api.dataset_version(REF),
    "DownloadDataset": lambda _: api.dataset_bundle_opener(REF)({}),
    "GetSubmissionLimits": lambda _: api.submission_limits(SLUG),
    "ListSubmissions": lambda _: api.list_submissions(SLUG),
    "StartSubmissionUpload": send,
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_redirect_without_a_target_is_an_error(server: Kaggle, upload: Path, kind: str) -> None:
    server.play(kind, Status(302))
    with pytest.raises(RemoteError) as error:
        CALLS[kind](upload)
    assert "the request to Kaggle failed\n  found: the server answered 302 Found\n" in words(error)
    assert len(server.requests_of(kind)) == 1


@pytest.mark.parametrize("kind", CALLS)
def test_no_redirect_out_of_https_is_followed(server: Kaggle, upload: Path, kind: str) -> None:
    server.play(kind, Redirect(to="http://storage.example/train.zip?X-Goog-Signature=5ecre7"))
    with pytest.raises(RemoteError) as error:
        CALLS[kind](upload)
    assert words(error) == (
        "Kaggle redirects to an address that is not encrypted, so anybody could change the bytes\n"
        "  found: http://storage.example/train.zip\n"
        "  expected: https://…\n"
        "  to do: run it again; if the error stays, check what is between this machine and Kaggle: "
        "a proxy, or a network's login"
    )
    assert server.requests[-1].kind == kind


@pytest.mark.parametrize("kind", CALLS)
def test_a_server_that_hangs_times_out(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch, upload: Path, kind: str
) -> None:
    shorten_timeout(monkeypatch, kind)
    server.play(kind, Hang(60))
    with pytest.raises(requests.Timeout):
        CALLS[kind](upload)
    assert server.requests[-1].kind == kind


def test_a_body_that_stalls_times_out(server: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_timeout(monkeypatch, "storage")
    server.play("storage", Stall(0.5, 60))
    with (
        api.competition_file_opener(SLUG, "train.zip")({}) as answer,
        pytest.raises(requests.ConnectionError, match="Read timed out"),
    ):
        list(answer.iter_content(2))
