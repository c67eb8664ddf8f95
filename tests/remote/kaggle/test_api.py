"""What Kaggle's real clients bring and send, against a server on loopback."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from darkroom.errors import ParamsError, RemoteError
from darkroom.remote.kaggle import api
from darkroom.remote.retry import TransientError, is_transient
from tests.support.kaggle_client import REF, SLUG, send, shorten_timeout, words
from tests.support.loopback import (
    Cut,
    CutBody,
    Fault,
    Hang,
    Kaggle,
    NoAnswer,
    Page,
    Redirect,
    Refuse,
    Status,
)

RANGE = {"Range": "bytes=4-", "Accept-Encoding": "identity"}
# What requests says of any cut on the way to a plain proxy, as the server is to the clients.
CUT = "the connection was cut"


def test_lists_every_page_of_files(server: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAGE_SIZE", 20)
    server.competitions[SLUG].files = {f"{number:03}.png": b"x" for number in range(41)}
    server.competitions[SLUG].files["000.png"] = b""
    listed = api.list_competition_files(SLUG)
    assert [*listed] == [f"{number:03}.png" for number in range(41)]
    assert [*listed.values()] == [None] + [1] * 40
    assert len(server.requests_of("ListDataFiles")) == 3


def test_opens_a_file_and_a_part_of_it(server: Kaggle) -> None:
    opener = api.competition_file_opener(SLUG, "train.zip")
    with opener({"Accept-Encoding": "identity"}) as whole:
        assert (whole.status_code, whole.content) == (200, b"0123456789")
    with opener({**RANGE, "If-Range": whole.headers["ETag"]}) as part:
        assert (part.status_code, part.content) == (206, b"456789")
    with opener({"Range": "bytes=10-"}) as beyond:
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */10")
    storage = server.requests_of("storage")
    assert [request.range_start for request in storage] == [None, 4, 10]
    assert storage[1].headers["if-range"] == whole.headers["ETag"]
    assert [request.headers["accept-encoding"] for request in storage[:2]] == ["identity"] * 2
    assert all(request.authorization is None for request in storage)
    assert all(request.authorization for request in server.requests_of("DownloadDataFile"))


def test_a_page_instead_of_a_file_is_left_to_the_download(server: Kaggle) -> None:
    server.play("storage", Page())
    with api.competition_file_opener(SLUG, "train.zip")({}) as answer:
        assert b"Sign in" in answer.content


def test_all_files_of_a_competition_as_one_zip(server: Kaggle) -> None:
    server.competitions[SLUG].bundle = b"all of it"
    with api.competition_bundle_opener(SLUG)({"Range": "bytes=4-"}) as answer:
        assert (answer.status_code, answer.content) == (206, b"of it")
    server.competitions[SLUG].rules_accepted = False
    with pytest.raises(RemoteError, match=f"competitions/{SLUG}/rules"):
        api.competition_bundle_opener(SLUG)({})


def test_data_sets_by_version(server: Kaggle) -> None:
    assert api.dataset_version(REF) == (f"{REF}/versions/2", 7)
    assert api.dataset_version(f"{REF}/versions/2") == (f"{REF}/versions/2", 7)
    assert api.dataset_version(f"{REF}/versions/1") == (f"{REF}/versions/1", None)
    for ref, body in ((REF, b"new zip"), (f"{REF}/versions/1", b"old")):
        with api.dataset_bundle_opener(ref)({}) as answer:
            assert answer.content == body


def test_an_invalid_data_set_name_is_refused(server: Kaggle) -> None:
    with pytest.raises(ParamsError, match="it is not the name of a data set"):
        api.dataset_version(SLUG)
    assert server.requests == []


def test_submits_and_sees_the_score(server: Kaggle, upload: Path) -> None:
    server.competitions[SLUG].pending = 1
    noted: list[int] = []

    def note() -> None:
        noted.append(len(server.requests_of("CreateSubmission")))
        assert len(server.requests_of("upload")) == 1

    assert api.submission_limits(SLUG) == api.SubmissionLimits(today=0, allowed=5, total=0)
    ref = api.submit(SLUG, upload, "darkroom: a, b", progress=False, before_create=note)
    assert noted == [0]
    assert api.submission_limits(SLUG) == api.SubmissionLimits(today=1, allowed=4, total=1)
    kept = server.competitions[SLUG].submissions
    assert [one.body for one in kept] == [upload.read_bytes()]
    waiting = api.Submission(
        ref=ref,
        date=datetime(2017, 9, 1, 12, tzinfo=UTC),
        description="darkroom: a, b",
        file_name=upload.name,
        size=upload.stat().st_size,
        status="pending",
        public=None,
        private=None,
        error="",
    )
    assert api.list_submissions(SLUG) == [waiting]
    (scored,) = api.list_submissions(SLUG)
    assert (scored.status, scored.public, scored.private) == ("complete", 0.99512, 0.99487)
    assert all(request.authorization is None for request in server.requests_of("upload"))


def test_a_file_that_kaggle_cannot_score(server: Kaggle, upload: Path) -> None:
    server.competitions[SLUG].error = "Evaluation Exception: row 3"
    send(upload)
    (listed,) = api.list_submissions(SLUG)
    assert (listed.status, listed.public) == ("error", None)
    assert listed.error == "Evaluation Exception: row 3"


def test_draws_the_upload_on_stderr_only(
    server: Kaggle, upload: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    api.submit(SLUG, upload, "darkroom", progress=True)
    out, err = capfd.readouterr()
    assert "100%" in err
    assert out == ""


def test_lists_every_page_of_submissions_newest_first(server: Kaggle, upload: Path) -> None:
    server.competitions[SLUG].allowed = 1
    send(upload)
    (one,) = server.competitions[SLUG].submissions
    server.competitions[SLUG].submissions = [
        type(one)(ref, "", "a.csv", b"", datetime(2017, 9, 1, tzinfo=UTC) + timedelta(hours=ref))
        for ref in range(1, 402)
    ]
    assert [entry.ref for entry in api.list_submissions(SLUG)] == list(range(401, 0, -1))
    assert api.list_submissions(SLUG)[0].size == 0


def test_no_submissions(server: Kaggle) -> None:
    assert api.list_submissions(SLUG) == []


def test_without_a_connection_nothing_is_sent(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch, upload: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    def leave() -> None:
        monkeypatch.setattr("urllib3.util.connection.create_connection", refuse)

    with pytest.raises(requests.ConnectionError) as error:  # never sent, so surely not submitted
        api.submit(SLUG, upload, "darkroom", progress=False, before_create=leave)
    assert is_transient(error.value)
    assert len(server.requests_of("upload")) == 1
    with pytest.raises(requests.ConnectionError):
        api.submission_limits(SLUG)


UPLOAD_FAULTS: dict[str, tuple[Fault, str]] = {
    "before": (Refuse(), CUT),
    "during": (CutBody(0.5), CUT),
    "after": (NoAnswer(), CUT),
    "full": (Status(503, retry_after="60"), "the server answered 503 Service Unavailable"),
    "refused": (Status(403), "the server answered 403 Forbidden"),
    "nowhere": (Status(308), "the server answered 308 Permanent Redirect"),
    "silent": (Hang(60), "the server did not answer in time"),
}


@pytest.mark.parametrize("case", UPLOAD_FAULTS)
def test_a_lost_upload_submits_nothing(
    server: Kaggle, upload: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    fault, found = UPLOAD_FAULTS[case]
    if case == "silent":
        shorten_timeout(monkeypatch, "upload")
    server.play("upload", fault)
    with pytest.raises(TransientError) as error:
        send(upload)
    assert words(error) == f"the file did not reach Kaggle: {found}"
    kinds = [request.kind for request in server.requests]
    assert kinds == ["StartSubmissionUpload", "upload"]
    assert send(upload) == 20_000_001


def test_a_missing_file_is_not_uploaded(server: Kaggle, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        send(tmp_path / "gone.csv.gz")
    assert server.requests == []


OPEN = "http://storage.example/a?X-Goog-Signature=5ecre7"
LOST: dict[str, tuple[Fault, int, str]] = {
    "unanswered": (NoAnswer(), 1, CUT),
    "refused": (Refuse(), 0, CUT),
    "halved": (Cut(0.5), 1, "a response without a reference"),
    "silent": (Hang(60), 1, "the server did not answer in time"),
    "broken": (Status(500), 0, "the server answered 500 Internal Server Error"),
    "late": (Status(504, html=True), 0, "the server answered 504 Gateway Timeout"),
    "slow": (Status(408), 0, "the server answered 408 Request Timeout"),
    "nowhere": (Status(302), 0, "the server answered 302 Found"),
    "unencrypted": (Redirect(to=OPEN), 0, "the server answered 302 Found"),
    "page": (Page(), 0, "a response without a reference"),
    "nothing": (Page("{}"), 0, "a response without a reference"),
    "nonsense": (Page("[]"), 0, "a response without a reference"),
    "elsewhere": (Redirect(), 0, "the server answered 404 Not Found"),
    **{
        f"reference {text}": (Page(f'{{"ref": {text}}}'), 0, "a response without a reference")
        for text in ('"abc"', "[1]", "-5", "0", "null", "true", "1.5", str(10**30), "NaN")
    },
}


@pytest.mark.parametrize("case", LOST)
def test_a_lost_response_has_its_own_error(
    server: Kaggle, upload: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    fault, kept, found = LOST[case]
    if case == "silent":
        shorten_timeout(monkeypatch, "CreateSubmission")
    server.play("CreateSubmission", fault)
    with pytest.raises(api.UnknownOutcomeError) as error:
        send(upload)
    assert words(error) == (
        f"{SLUG}: the submission was sent, but Kaggle's response was lost: it may have arrived or "
        f"not\n  found: {found}\n"
        f"  to do: look at https://www.kaggle.com/competitions/{SLUG}/submissions before it is "
        "sent again"
    )
    assert len(server.competitions[SLUG].submissions) == kept
    assert len([one for one in server.requests_of("CreateSubmission") if one.method == "POST"]) == 1


def test_a_refused_submission_shows_kaggles_words(server: Kaggle, upload: Path) -> None:
    server.play("CreateSubmission", Status(400, message="Submission file has no row 7"))
    with pytest.raises(RemoteError) as error:
        send(upload)
    assert type(error.value) is RemoteError
    assert words(error).splitlines()[1] == "  found: 400 Bad Request: Submission file has no row 7"
    server.competitions[SLUG].allowed = 0
    with pytest.raises(RemoteError, match="daily Submission allowance") as error:
        send(upload)
    server.competitions[SLUG].open = False
    with pytest.raises(RemoteError, match="This competition is closed") as error:
        send(upload)
    assert len(server.requests_of("upload")) == 1


def test_a_delayed_submission_may_be_sent_again(server: Kaggle, upload: Path) -> None:
    server.play("CreateSubmission", Status(429, retry_after="3"))
    with pytest.raises(requests.HTTPError) as error:
        send(upload)
    assert is_transient(error.value)
    assert not server.competitions[SLUG].submissions


def test_an_interruption_before_submitting_submits_nothing(server: Kaggle, upload: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.submit(SLUG, upload, "darkroom", progress=False, before_create=interrupt)
    assert server.requests_of("CreateSubmission") == []


def test_a_failing_hook_submits_nothing(server: Kaggle, upload: Path) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        api.submit(SLUG, upload, "darkroom", progress=False, before_create=full)
    assert server.requests_of("CreateSubmission") == []
