"""A file is submitted once: whatever goes wrong, the server never holds it twice."""

import errno
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from darkroom.errors import ArtifactError, RemoteError, ResourceError
from darkroom.remote.kaggle import api as client
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.upload.idempotency import PendingUpload, Upload, lock, read_pending
from darkroom.submission.upload.reconcile import SETTLED_S
from darkroom.submission.upload.send import UploadState, wait_for_score
from tests.submission.upload.scenarios import (
    LOST,
    MESSAGE,
    OFTEN,
    SCENARIOS,
    TRIES,
    Clock,
    play,
    submit,
)
from tests.support.loopback import (
    TOKEN,
    WRONG_TOKEN,
    Competition,
    Kaggle,
    NoAnswer,
    Page,
    Refuse,
    Status,
)
from tests.support.uploads import SLUG, kaggle_on_loopback, upload_of


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_file_is_submitted_once_whatever_goes_wrong(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    competition, words = play(name, 0, tmp_path)
    assert competition == SCENARIOS[name][-1].held
    out, err = capfd.readouterr()
    assert out == ""
    for secret in (TOKEN, "X-Goog-Signature"):
        assert secret not in words + err


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_file_is_submitted_once_in_many_rounds(name: str, rounds: int, tmp_path: Path) -> None:
    for number in range(1, rounds + 1):
        competition, _ = play(name, number, tmp_path / str(number))
        assert competition == SCENARIOS[name][-1].held, f"round {number}"


def test_a_file_is_sent_again_only_on_request(
    competition: Competition, file: Upload, clock: Clock
) -> None:
    mark = file.sha256[:12]
    submit(file, clock)
    assert submit(file, clock, resend=True)[0]
    assert submit(file, clock, resend=True)[0]
    assert [each.description for each in competition.submissions] == [
        f"darkroom {mark}: {MESSAGE}",
        f"darkroom {mark}-2: {MESSAGE}",
        f"darkroom {mark}-3: {MESSAGE}",
    ]
    assert competition.submissions[2].file_name == f"carvana-{mark}-3.csv.gz"
    is_new, state = submit(file, clock)
    assert not is_new
    assert state.reference == competition.submissions[2].ref, "the newest is told"


def test_a_resend_is_as_careful(
    kaggle: Kaggle, competition: Competition, file: Upload, clock: Clock
) -> None:
    submit(file, clock)
    competition.lag = TRIES + 2
    kaggle.play("CreateSubmission", NoAnswer())
    with pytest.raises(RemoteError, match=LOST):
        submit(file, clock, resend=True)
    is_new, state = submit(file, clock, resend=True)
    assert (is_new, state.reference) == (False, competition.submissions[1].ref)
    assert len(competition.submissions) == 2


def test_a_resend_after_a_submission_that_was_listed_late(
    competition: Competition, file: Upload, clock: Clock
) -> None:
    competition.lag = 1
    submit(file, clock)
    assert submit(file, clock, resend=True)[0]
    assert len(competition.submissions) == 2


def test_a_resend_is_numbered_after_a_submission_that_is_not_listed_yet(
    competition: Competition, file: Upload, clock: Clock
) -> None:
    competition.lag = OFTEN
    submit(file, clock)
    submit(file, clock, resend=True)
    marks = [each.description.split(":")[0] for each in competition.submissions]
    assert marks == [f"darkroom {file.sha256[:12]}", f"darkroom {file.sha256[:12]}-2"]


def test_another_file_is_another_submission(kaggle: Kaggle, clock: Clock, tmp_path: Path) -> None:
    for data in (b"rows", b"better rows"):
        assert submit(upload_of(tmp_path, data), clock)[0]
    assert [each.body for each in kaggle.competitions[SLUG].submissions] == [
        b"rows",
        b"better rows",
    ]


def test_a_submission_on_a_later_page_of_the_list_is_found(
    competition: Competition, file: Upload, clock: Clock
) -> None:
    submit(file, clock)
    first = competition.submissions[0]
    competition.submissions += [
        replace(first, ref=first.ref + number, description="by hand") for number in range(1, 250)
    ]
    assert submit(file, clock)[0] is False


def test_a_record_is_kept_only_until_the_list_shows_the_submission(
    competition: Competition, file: Upload, clock: Clock
) -> None:
    submit(file, clock)
    assert records(file) == []
    competition.lag = 1
    submit(file, clock, resend=True)
    mark, reference = f"{file.sha256[:12]}-2", competition.submissions[1].ref
    assert records(file) == [PendingUpload(mark, clock.now, reference)]
    submit(file, clock)
    assert records(file) == []
    assert [path.name for path in file.folder.iterdir()] == ["lock"]


def records(file: Upload) -> list[PendingUpload]:
    return read_pending(file.folder, file.sha256[:12])


REFUSED: dict[str, str] = {
    "StartSubmissionUpload": "rules are not accepted",
    "CreateSubmission": "rules are not accepted",
}


@pytest.mark.parametrize("call", REFUSED)
def test_an_accepted_submission_keeps_its_record_when_a_resend_is_refused(
    kaggle: Kaggle, competition: Competition, file: Upload, clock: Clock, call: str
) -> None:
    competition.lag = OFTEN
    submit(file, clock)
    kaggle.play(call, Status(403))
    with pytest.raises(RemoteError, match=REFUSED[call]):
        submit(file, clock, resend=True)
    is_new, state = submit(file, clock)
    assert (is_new, state.reference) == (False, competition.submissions[0].ref)
    assert len(competition.submissions) == 1


def test_an_accepted_submission_keeps_its_record_while_a_resend_is_pending(
    kaggle: Kaggle, competition: Competition, file: Upload, clock: Clock
) -> None:
    competition.lag = OFTEN
    submit(file, clock)
    first = records(file)
    kaggle.play("CreateSubmission", Refuse())
    with pytest.raises(RemoteError, match=LOST):
        submit(file, clock, resend=True)
    assert [record.key for record in records(file)] == [file.sha256[:12], f"{file.sha256[:12]}-2"]
    clock.sleep(SETTLED_S)
    is_new, state = submit(file, clock)
    assert (is_new, state.reference) == (False, competition.submissions[0].ref)
    assert records(file) == first, "what never arrived has no note any more"
    assert submit(file, clock, resend=True)[0]
    assert len(competition.submissions) == 2


def test_a_description_edited_at_kaggle(
    competition: Competition, file: Upload, clock: Clock
) -> None:
    submit(file, clock)
    competition.submissions[0].description = "my best one"
    is_new, state = submit(file, clock)
    assert (is_new, state.reference) == (False, competition.submissions[0].ref)
    assert submit(file, clock, resend=True)[1].key == f"{file.sha256[:12]}-2"


def test_a_submission_in_the_history_was_sent_whatever_the_list_says(
    kaggle: Kaggle, file: Upload, clock: Clock
) -> None:
    is_new, state = submit(file, clock, recorded=[7, 8])
    assert (is_new, state) == (False, UploadState("", 8))
    is_new, state = submit(file, clock, resend=True, recorded=[7, 8])
    assert (is_new, state.key) == (True, f"{file.sha256[:12]}-3")
    [competition] = kaggle.competitions[SLUG].submissions
    competition.description, competition.file_name = "by hand", "submission.csv"
    is_new, state = submit(file, clock, recorded=[competition.ref])
    assert (is_new, state.reference) == (False, competition.ref)
    assert state.submission is not None
    assert state.submission.description == "by hand"


def test_a_redirect_instead_of_the_list_sends_nothing(
    kaggle: Kaggle, competition: Competition, file: Upload, clock: Clock
) -> None:
    submit(file, clock)
    kaggle.play("ListSubmissions", Status(302))  # without Location
    with pytest.raises(RemoteError, match="the server answered 302 Found"):
        submit(file, clock)
    assert len(competition.submissions) == 1


def test_a_listed_submission_with_another_reference_is_not_the_one_sent(
    kaggle: Kaggle, competition: Competition, file: Upload, clock: Clock
) -> None:
    submit(file, clock)
    kaggle.play("ListSubmissions", *[Page('{"submissions": []}')] * 2)  # as if it lagged
    competition.lag = 1
    is_new, state = submit(file, clock)
    assert is_new
    assert (state.reference, state.submission) == (competition.submissions[1].ref, None)


def test_the_message_about_an_unknown_outcome(kaggle: Kaggle, file: Upload, clock: Clock) -> None:
    kaggle.play("CreateSubmission", Refuse())
    settled = datetime.fromtimestamp(clock.now + SETTLED_S)
    with pytest.raises(RemoteError) as raised:
        submit(file, clock)
    assert str(raised.value) == (
        f"{file.path}: it may or may not have arrived: the answer was lost, and Kaggle does not "
        "list it yet\n"
        f"  https://www.kaggle.com/competitions/{SLUG}/submissions\n"
        f"  to do: run the same command again after {settled:%H:%M}: the file is sent only if "
        "Kaggle does not list it"
    )


def test_the_file_sent_is_the_one_that_was_checked(
    competition: Competition, file: Upload, clock: Clock
) -> None:
    file.path.write_bytes(b"rows of a later run")
    with pytest.raises(ArtifactError, match="it changed while it was checked"):
        submit(file, clock)
    assert competition.submissions == []
    assert [path.name for path in file.folder.iterdir()] == ["lock"]


def test_a_file_system_without_links(
    competition: Competition, file: Upload, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(link: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert submit(file, clock)[0]
    assert competition.submissions[0].body == b"rows"


def test_a_link_to_the_cache_is_followed(
    competition: Competition, file: Upload, clock: Clock, tmp_path: Path
) -> None:
    file.path.rename(tmp_path / "cached")
    file.path.symlink_to(tmp_path / "cached")
    submit(file, clock)
    assert competition.submissions[0].body == b"rows"


def test_two_runs_at_once(kaggle: Kaggle, file: Upload, clock: Clock) -> None:
    with lock(file), pytest.raises(ResourceError, match="another `darkroom submit`"):
        submit(file, clock)
    assert submit(file, clock)[0]


def test_a_wrong_token_sends_nothing(clock: Clock, tmp_path: Path) -> None:
    with kaggle_on_loopback(token=WRONG_TOKEN) as kaggle:
        with pytest.raises(RemoteError, match="does not accept the token") as raised:
            submit(upload_of(tmp_path, b"rows"), clock)
        assert WRONG_TOKEN not in str(raised.value)
        assert {request.kind for request in kaggle.requests} == {"ListSubmissions"}


def submit_by_client(tmp_path: Path) -> int:
    return client.submit(SLUG, upload_of(tmp_path, b"rows").path, "first", progress=False)


def test_the_score_is_waited_for_in_growing_pauses(kaggle: Kaggle, tmp_path: Path) -> None:
    slept: list[float] = []
    kaggle.competitions[SLUG].lag, kaggle.competitions[SLUG].pending = 1, 3
    submission = wait_for_score(
        SLUG, submit_by_client(tmp_path), policy=RetryPolicy(sleep=slept.append)
    )
    assert submission is not None
    assert (submission.status, submission.public, submission.private) == (
        "complete",
        0.99512,
        0.99487,
    )
    assert slept == [5.0, 7.5, 11.25, 16.875]


def test_the_wait_ends_after_half_an_hour(kaggle: Kaggle, tmp_path: Path) -> None:
    slept: list[float] = []
    kaggle.competitions[SLUG].pending = 10_000
    assert (
        wait_for_score(SLUG, submit_by_client(tmp_path), policy=RetryPolicy(sleep=slept.append))
        is None
    )
    assert sum(slept) == 1800
    assert max(slept) == 60


def test_a_failed_submission_ends_the_wait(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.competitions[SLUG].error = "Wrong header"
    submission = wait_for_score(SLUG, submit_by_client(tmp_path), policy=RetryPolicy())
    assert submission is not None
    assert (submission.status, submission.error) == ("error", "Wrong header")


def test_a_server_error_is_retried(kaggle: Kaggle, tmp_path: Path) -> None:
    reference = submit_by_client(tmp_path)
    kaggle.play("ListSubmissions", Status(500), Status(429))
    assert wait_for_score(SLUG, reference, policy=RetryPolicy(sleep=lambda _: None)) is not None
    kaggle.always("ListSubmissions", Status(500))
    with pytest.raises(RemoteError, match="the score: gave up after 8 failures"):
        wait_for_score(SLUG, reference, policy=RetryPolicy(sleep=lambda _: None))
