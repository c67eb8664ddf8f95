from datetime import UTC, datetime

import pytest

from darkroom.kaggle import Submission
from darkroom.submission import marks

SHA256 = "0123456789ab" + "c" * 52


def listed(description: str) -> Submission:
    date = datetime(2017, 9, 1, tzinfo=UTC)
    return Submission(1, date, description, "a.csv", 1, "pending", None, None, "")


@pytest.mark.parametrize(
    ("known", "mark"),
    [
        ([], "0123456789ab"),
        (["0123456789ab"], "0123456789ab-2"),
        (["0123456789ab-9", "0123456789ab-10", "0123456789ab"], "0123456789ab-11"),
    ],
)
def test_marks_are_counted_on(known: list[str], mark: str) -> None:
    assert marks.following(SHA256, known) == mark


@pytest.mark.parametrize(
    "message", ["first", "a: b", " two\nlines ", "", "darkroom 0123456789ab: twice"]
)
@pytest.mark.parametrize("mark", ["0123456789ab", "0123456789ab-12"])
def test_a_description_tells_its_mark_and_its_message(mark: str, message: str) -> None:
    submission = listed(marks.description(mark, message))
    assert marks.of(SHA256, [submission]) == {mark: submission}
    assert marks.message(submission) == message


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
    ],
)
def test_what_is_not_of_a_file(description: str) -> None:
    assert marks.of(SHA256, [listed(description)]) == {}
