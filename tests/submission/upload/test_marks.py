from datetime import UTC, datetime

import pytest

from darkroom.remote.kaggle.api import Submission
from darkroom.submission.upload import pending

SHA256 = "0123456789ab" + "c" * 52


def listed(description: str, file_name: str = "a.csv") -> Submission:
    date = datetime(2017, 9, 1, tzinfo=UTC)
    return Submission(1, date, description, file_name, 1, "pending", None, None, "")


@pytest.mark.parametrize(
    ("known", "mark"),
    [
        ([], "0123456789ab"),
        (["0123456789ab"], "0123456789ab-2"),
        (["0123456789ab-9", "0123456789ab-10", "0123456789ab"], "0123456789ab-11"),
        ([""], "0123456789ab-2"),
        (["", "0123456789ab", ""], "0123456789ab-4"),
    ],
)
def test_marks_are_counted_on(known: list[str], mark: str) -> None:
    assert pending.following(SHA256, known) == mark


@pytest.mark.parametrize(
    "message", ["first", "a: b", " two\nlines ", "", "darkroom 0123456789ab: twice"]
)
@pytest.mark.parametrize("mark", ["0123456789ab", "0123456789ab-12"])
def test_a_description_tells_its_mark_and_its_message(mark: str, message: str) -> None:
    submission = listed(pending.description(mark, message))
    assert pending.of(SHA256, [submission]) == {mark: submission}
    assert pending.message(submission) == message


@pytest.mark.parametrize(
    "description",
    [
        "",
        "by hand",
        "darkroom 0123456789ab",
        "darkroom 0123456789ab-0: first",
        "darkroom 0123456789a: first",
        "darkroom 0123456789abc: first",
        "darkroom ffffffffffff: first",
        "see darkroom 0123456789ab: first",
        f"darkroom 0123456789ab-{'9' * 5000}: first",
    ],
)
def test_what_is_not_of_a_file(description: str) -> None:
    assert pending.of(SHA256, [listed(description)]) == {}


@pytest.mark.parametrize("description", ["", "my best one", "darkroom ffffffffffff: first"])
@pytest.mark.parametrize("mark", ["0123456789ab", "0123456789ab-12"])
@pytest.mark.parametrize("name", ["carvana-{}.csv.gz", "carvana-{}", "a-ffffffffffff-{}.csv"])
def test_a_file_name_tells_its_mark(name: str, mark: str, description: str) -> None:
    submission = listed(description, name.format(mark))
    assert pending.of(SHA256, [submission]) == {mark: submission}


@pytest.mark.parametrize(
    "name",
    [
        "0123456789ab.csv",
        "carvana-0123456789ab-0.csv",
        "carvana-0123456789abc.csv",
        "carvana-0123456789ab-2-b.csv",
        "carvana-ffffffffffff.csv",
    ],
)
def test_a_file_name_that_is_no_mark_of_it(name: str) -> None:
    assert pending.of(SHA256, [listed("by hand", name)]) == {}


def test_the_file_name_decides() -> None:
    submission = listed("darkroom 0123456789ab: first", "carvana-0123456789ab-2.csv.gz")
    assert pending.of(SHA256, [submission]) == {"0123456789ab-2": submission}
