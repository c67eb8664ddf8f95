"""A file is not sent twice after another clone, an odd list or a wrong clock."""

from datetime import datetime
from pathlib import Path

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.upload.idempotency import PendingUpload, Upload, read_pending, save_pending
from darkroom.submission.upload.reconcile import CERTAIN_S, SETTLED_S
from darkroom.submission.upload.send import find_submission, send_submission
from tests.submission.upload.scenarios import COUNTED, LOST, MESSAGE, OFTEN, TRIES, Clock, submit
from tests.support.loopback import Competition, Kaggle, NoAnswer, Page, Refuse, Submission
from tests.support.uploads import SLUG, upload_of


def test_another_clone_sends_at_the_same_moment(
    kaggle: Kaggle, clock: Clock, tmp_path: Path
) -> None:
    first, second = upload_of(tmp_path / "a", b"rows"), upload_of(tmp_path / "b", b"rows")
    policy = RetryPolicy(tries=TRIES, sleep=clock.sleep)
    state = find_submission(first, resend=False, policy=policy, clock=clock)
    submit(second, clock)
    [competition] = kaggle.competitions[SLUG].submissions
    result = send_submission(first, state.key, MESSAGE, policy=policy, clock=clock)
    assert (result.reference, result.is_new) == (competition.ref, False)
    assert len(kaggle.competitions[SLUG].submissions) == 1
    assert read_pending(first.folder, first.sha256[:12]) == []


def test_a_submission_listed_without_a_number_is_not_sent_again(
    kaggle: Kaggle, competition: Competition, file: Upload, clock: Clock
) -> None:
    entry = f'{{"ref": "abc", "fileName": "carvana-{file.sha256[:12]}.csv.gz"}}'
    kaggle.play("ListSubmissions", *[Page(f'{{"submissions": [{entry}]}}')] * 2)
    with pytest.raises(RemoteError, match="lists it, but without a number"):
        submit(file, clock)
    assert competition.submissions == []


def test_a_clock_that_was_set_back(kaggle: Kaggle, file: Upload, clock: Clock) -> None:
    mark = file.sha256[:12]
    save_pending(file.folder, PendingUpload(mark, clock.now + 30 * 86_400))
    with pytest.raises(RemoteError, match=LOST):
        submit(file, clock)
    clock.sleep(SETTLED_S)
    assert submit(file, clock)[0]


def lose(kaggle: Kaggle, file: Upload, clock: Clock, *, arrives: bool) -> None:
    """Submit a file so that the answer is lost, and wait until the list has to have it."""
    kaggle.play("CreateSubmission", NoAnswer() if arrives else Refuse())
    with pytest.raises(RemoteError, match=LOST):
        submit(file, clock)
    clock.sleep(SETTLED_S)


def by_hand(kaggle: Kaggle, clock: Clock, folder: Path) -> Submission:
    """Submit another file from elsewhere, and return what the server holds of it."""
    submit(upload_of(folder / "elsewhere", f"rows {clock.now}".encode()), clock)
    return kaggle.competitions[SLUG].submissions[-1]


def test_an_arrived_submission_is_counted_when_an_earlier_one_was_listed_late(
    kaggle: Kaggle, clock: Clock, tmp_path: Path
) -> None:
    competition = kaggle.competitions[SLUG]
    competition.lag = OFTEN
    submit(upload_of(tmp_path, b"rows"), clock)
    second = upload_of(tmp_path, b"better rows")
    lose(kaggle, second, clock, arrives=True)
    competition.submissions[0].unseen = -1
    with pytest.raises(RemoteError, match=COUNTED):
        submit(second, clock)
    assert len(competition.submissions) == 2


def test_an_arrived_submission_is_counted_when_an_earlier_one_failed(
    kaggle: Kaggle, clock: Clock, tmp_path: Path
) -> None:
    file, competition = upload_of(tmp_path, b"rows"), kaggle.competitions[SLUG]
    earlier = by_hand(kaggle, clock, tmp_path)
    competition.lag = OFTEN
    lose(kaggle, file, clock, arrives=True)
    earlier.status = "ERROR"
    with pytest.raises(RemoteError, match=COUNTED):
        submit(file, clock)
    assert len(competition.submissions) == 2


def test_a_submission_of_a_team_member_is_not_mistaken_for_it(
    kaggle: Kaggle, clock: Clock, tmp_path: Path
) -> None:
    file = upload_of(tmp_path, b"rows")
    by_hand(kaggle, clock, tmp_path).status = "ERROR"
    lose(kaggle, file, clock, arrives=False)
    by_hand(kaggle, clock, tmp_path)
    assert submit(file, clock)[0]


def test_a_submission_that_is_counted_but_not_listed_is_waited_for_a_day(
    kaggle: Kaggle, clock: Clock, tmp_path: Path
) -> None:
    file, competition = upload_of(tmp_path, b"rows"), kaggle.competitions[SLUG]
    lose(kaggle, file, clock, arrives=False)
    competition.lag = OFTEN
    by_hand(kaggle, clock, tmp_path)
    with pytest.raises(RemoteError, match=COUNTED) as raised:
        submit(file, clock)
    until = datetime.fromtimestamp(clock.now - SETTLED_S - 1 + CERTAIN_S)
    assert f"at the latest after {until:%Y-%m-%d}" in str(raised.value)
    clock.sleep(CERTAIN_S)
    assert submit(file, clock)[0]


def test_without_a_readable_count_nothing_is_decided(
    kaggle: Kaggle, clock: Clock, tmp_path: Path
) -> None:
    file, competition = upload_of(tmp_path, b"rows"), kaggle.competitions[SLUG]
    competition.lag = OFTEN
    lose(kaggle, file, clock, arrives=True)
    kaggle.play("GetSubmissionLimits", Page('{"numTotal": "many"}'))
    with pytest.raises(RemoteError, match="found: a count that cannot be read"):
        submit(file, clock)
    assert len(competition.submissions) == 1
