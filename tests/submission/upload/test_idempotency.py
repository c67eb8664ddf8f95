"""Keys in file names and descriptions, and the records of pending uploads."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkroom.errors import ArtifactError
from darkroom.remote.kaggle.api import Submission
from darkroom.submission.upload.idempotency import (
    PendingUpload,
    description_of,
    message_of,
    next_key,
    read_pending,
    remove_pending,
    save_pending,
    submissions_by_key,
)

SHA256 = "0123456789ab" + "c" * 52


def submission_of(description: str, file_name: str = "a.csv") -> Submission:
    date = datetime(2017, 9, 1, tzinfo=UTC)
    return Submission(1, date, description, file_name, 1, "pending", None, None, "")


@pytest.mark.parametrize(
    ("used", "key"),
    [
        ([], "0123456789ab"),
        (["0123456789ab"], "0123456789ab-2"),
        (["0123456789ab-9", "0123456789ab-10", "0123456789ab"], "0123456789ab-11"),
        ([""], "0123456789ab-2"),
        (["", "0123456789ab", ""], "0123456789ab-4"),
    ],
)
def test_keys_are_numbered(used: list[str], key: str) -> None:
    assert next_key(SHA256, used) == key


@pytest.mark.parametrize(
    "message", ["first", "a: b", " two\nlines ", "", "darkroom 0123456789ab: twice"]
)
@pytest.mark.parametrize("key", ["0123456789ab", "0123456789ab-12"])
def test_a_description_holds_its_key_and_its_message(key: str, message: str) -> None:
    submission = submission_of(description_of(key, message))
    assert submissions_by_key(SHA256, [submission]) == {key: submission}
    assert message_of(submission) == message


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
def test_a_description_without_the_key_of_the_file(description: str) -> None:
    assert submissions_by_key(SHA256, [submission_of(description)]) == {}


@pytest.mark.parametrize("description", ["", "my best one", "darkroom ffffffffffff: first"])
@pytest.mark.parametrize("key", ["0123456789ab", "0123456789ab-12"])
@pytest.mark.parametrize("name", ["carvana-{}.csv.gz", "carvana-{}", "a-ffffffffffff-{}.csv"])
def test_a_file_name_holds_its_key(name: str, key: str, description: str) -> None:
    submission = submission_of(description, name.format(key))
    assert submissions_by_key(SHA256, [submission]) == {key: submission}


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
def test_a_file_name_without_the_key_of_the_file(name: str) -> None:
    assert submissions_by_key(SHA256, [submission_of("by hand", name)]) == {}


def test_the_key_in_the_file_name_decides() -> None:
    submission = submission_of("darkroom 0123456789ab: first", "carvana-0123456789ab-2.csv.gz")
    assert submissions_by_key(SHA256, [submission]) == {"0123456789ab-2": submission}


FIRST_KEY = "0123456789ab"


def test_each_record_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert read_pending(folder, FIRST_KEY) == []
    first, second = (
        PendingUpload(FIRST_KEY, 1.5e9, 20_000_001),
        PendingUpload(f"{FIRST_KEY}-2", 1.5e9 + 1),
    )
    save_pending(folder, PendingUpload(f"{FIRST_KEY}-2", 1.5e9))
    for pending in (second, first, PendingUpload("c" * 12, 1.5e9)):
        save_pending(folder, pending)
    assert read_pending(folder, FIRST_KEY) == [first, second]
    for _ in range(2):
        remove_pending(folder, FIRST_KEY)
    assert read_pending(folder, FIRST_KEY) == [second]


def record(
    mark: str = f'"{FIRST_KEY}-2"', time: str = "1.5e9", reference: str = "null", ahead: str = "-3"
) -> str:
    return f'{{"mark": {mark}, "time": {time}, "reference": {reference}, "ahead": {ahead}}}'


ODD_TIMES = ("NaN", "Infinity", "1e300", "-1", "[]", "1" * 400)
ODD_REFERENCES = ("Infinity", "-5", "0", "1.5", '"7"', "[]", str(10**18))
ODD_MARKS = (
    '"../../history"',
    f'"{FIRST_KEY}-x"',
    f'"{FIRST_KEY}"',
    f'"{FIRST_KEY}-{"9" * 5000}"',
    "7",
)
DAMAGED = [
    *["", "{}", "[]", '{"reference": "x"}', "\udcff", "[" * 100_000],
    *[record(time=time) for time in ODD_TIMES],
    *[record(reference=reference) for reference in ODD_REFERENCES],
    *[record(mark=mark) for mark in ODD_MARKS],
    *[record(ahead=ahead) for ahead in ("null", '"1"', "1.5", "true", "[]")],
]


def test_the_format_of_a_record(tmp_path: Path) -> None:
    (tmp_path / f"{FIRST_KEY}-2.json").write_text(record())
    assert read_pending(tmp_path, FIRST_KEY) == [
        PendingUpload(f"{FIRST_KEY}-2", 1.5e9, unlisted=-3)
    ]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / f"{FIRST_KEY}-2.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ArtifactError, match="it is damaged") as raised:
        read_pending(tmp_path, FIRST_KEY)
    assert str(raised.value).startswith(f"{path}: ")
    assert "look at your submissions on Kaggle, then delete this file" in str(raised.value)
