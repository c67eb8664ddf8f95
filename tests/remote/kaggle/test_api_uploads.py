"""Uploads with permanent errors, and their messages."""

import json
from pathlib import Path

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api
from darkroom.remote.kaggle.api import UploadRefusedError
from darkroom.remote.kaggle.api_errors import RequestInfo
from darkroom.remote.retry import TransientError
from tests.support.kaggle_client import SLUG, send, words
from tests.support.loopback import Fault, Kaggle, Page, Redirect, Status

NOWHERE = {
    "nothing": (None, "none"),
    "empty": ("", "none"),
    "a number": (7, "none"),
    "a file": ("file:///etc/passwd", "file:///etc/passwd"),
    "open": ("http://storage.example/a?X-Goog-Signature=5ecre7", "http://storage.example/a"),
    "no address": ("https://[", "an address that can't be read"),
}


@pytest.mark.parametrize("case", NOWHERE)
def test_an_invalid_upload_address_is_permanent(server: Kaggle, upload: Path, case: str) -> None:
    url, found = NOWHERE[case]
    server.play("StartSubmissionUpload", Page(json.dumps({"token": "a", "createUrl": url})))
    with pytest.raises(RemoteError) as error:
        send(upload)
    assert words(error) == (
        f"{SLUG}: Kaggle gave no usable upload address\n"
        f"  found: {found}\n"
        "  expected: https://…\n"
        "  to do: run it again later; nothing was submitted"
    )
    assert {request.kind for request in server.requests} == {"StartSubmissionUpload"}


@pytest.mark.parametrize("text", ["[]", '"x"'])
def test_a_response_without_an_address_is_permanent(
    server: Kaggle, upload: Path, text: str
) -> None:
    server.play("StartSubmissionUpload", Page(text))
    with pytest.raises(RemoteError, match="Kaggle's response is invalid"):
        send(upload)


REFUSED: dict[str, tuple[Fault, str]] = {
    "forbidden": (Status(403), "the server answered 403 Forbidden"),
    "unknown": (Status(404), "the server answered 404 Not Found"),
    "elsewhere": (
        Redirect(to="http://storage.example/a"),
        "the server answered 302 Found",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_upload_has_its_own_error(server: Kaggle, upload: Path, case: str) -> None:
    fault, found = REFUSED[case]
    server.play("upload", fault)
    with pytest.raises(UploadRefusedError) as error:
        send(upload)
    assert words(error) == f"the file did not reach Kaggle: {found}"


@pytest.mark.parametrize("status", [408, 429, 500])
def test_a_delayed_upload_is_not_refused(server: Kaggle, upload: Path, status: int) -> None:
    server.play("upload", Status(status))
    with pytest.raises(TransientError) as error:
        send(upload)
    assert type(error.value) is TransientError


def test_an_upload_with_an_odd_status_has_a_reason(server: Kaggle, upload: Path) -> None:
    server.play("upload", Status(204))
    with pytest.raises(TransientError) as error:
        send(upload)
    assert words(error) == "the file did not reach Kaggle: it answered 204 No Content"


def test_control_characters_in_a_name_are_removed(server: Kaggle) -> None:
    with pytest.raises(RemoteError) as error:
        api.competition_file_opener(SLUG, "a\x1b[2J\nb.zip")({})
    assert words(error).startswith(f"{SLUG}/a [2J b.zip: Kaggle has nothing of that name\n")


def test_only_printable_text_is_shown() -> None:
    asked = RequestInfo("a", "b", secrets=("5ecre7",))
    assert asked.clean("a\x1b[31m \u202eb\r\nc\x00 5ecre7") == "a [31m b c …"
