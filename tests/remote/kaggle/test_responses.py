"""Invalid entries in Kaggle's lists: each is corrected, and no response counts as an empty list."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api, responses
from darkroom.remote.kaggle.responses import UNKNOWN_DATE
from tests.support.kaggle_client import REF, SLUG, words
from tests.support.loopback import Kaggle, Page

GOOD: dict[str, Any] = {
    "ref": 7,
    "date": "2017-09-01T12:00:00.1234567Z",
    "description": "by hand",
    "fileName": "a.csv.gz",
    "totalBytes": 3,
    "status": "COMPLETE",
    "publicScore": "0.5",
    "privateScore": "0.25",
}
DEEP = '{"submissions": ' + "[" * 100_000
NO_LISTS = ["[]", '"x"', "7", "null", '{"submissions": 7, "files": {}}', DEEP]


def page(text: str) -> Page:
    return Page(text)


@pytest.mark.parametrize("text", NO_LISTS)
def test_an_invalid_list_is_not_an_empty_one(server: Kaggle, text: str) -> None:
    server.play("ListSubmissions", page(text))
    with pytest.raises(RemoteError, match="Kaggle's response is invalid") as error:
        api.list_submissions(SLUG)
    server.play("ListDataFiles", page(text.replace("submissions", "files")))
    with pytest.raises(RemoteError, match="Kaggle's response is invalid") as error:
        api.list_competition_files(SLUG)
    assert "Error: " in words(error)


@pytest.mark.parametrize("text", ["[]", '"x"', "7"])
def test_invalid_limits_and_versions_are_refused(server: Kaggle, text: str) -> None:
    server.play("GetSubmissionLimits", page(text))
    with pytest.raises(RemoteError, match="is invalid"):
        api.submission_limits(SLUG)
    for answer in (text, "{}", *(json.dumps({"currentVersionNumber": n}) for n in ODD_NUMBERS)):
        server.play("GetDataset", page(answer))
        with pytest.raises(RemoteError, match="is invalid"):
            api.dataset_version(REF)


ODD_NUMBERS = [0, -1, True, 1.5, "2", [2], None, 10**30]


def test_invalid_limits_count_as_none(server: Kaggle) -> None:
    text = '{"numToday": "x", "numAllowedNow": -1, "numTotal": 1.5}'
    server.play("GetSubmissionLimits", page(text), page("{}"))
    assert api.submission_limits(SLUG) == api.SubmissionLimits(0, 0, None)
    assert api.submission_limits(SLUG) == api.SubmissionLimits(0, 0, 0)


ODD: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "date none": ({"date": None}, {"date": UNKNOWN_DATE}),
    "date a number": ({"date": 5}, {"date": UNKNOWN_DATE}),
    "date no date": ({"date": "yesterday"}, {"date": UNKNOWN_DATE}),
    "date the first": ({"date": "0001-01-01T00:00:00+14:00"}, {"date": UNKNOWN_DATE}),
    "date the last": ({"date": "9999-12-31T23:59:59-12:00"}, {"date": UNKNOWN_DATE}),
    "status unknown": ({"status": "RESCORING"}, {"status": "pending"}),
    "status a list": ({"status": ["COMPLETE"]}, {"status": "pending"}),
    "status in full": ({"status": "SUBMISSION_STATUS_ERROR"}, {"status": "error"}),
    "score none": ({"publicScore": None}, {"public": None}),
    "score a word": ({"publicScore": "best"}, {"public": None}),
    "score no number": ({"publicScore": "nan"}, {"public": None}),
    "score without end": ({"publicScore": "1e999"}, {"public": None}),
    "score huge": ({"publicScore": "1e308"}, {"public": None}),
    "score a huge number": ({"publicScore": 10**400}, {"public": None}),
    "score a number": ({"publicScore": 1}, {"public": 1.0}),
    "score a list": ({"publicScore": [1]}, {"public": None}),
    "name none": ({"fileName": None}, {"file_name": ""}),
    "name a number": ({"fileName": 7}, {"file_name": ""}),
    "name no text": ({"fileName": "a\ud800"}, {"file_name": "a?"}),
    "description none": ({"description": None}, {"description": ""}),
    "size a word": ({"totalBytes": "3"}, {"size": 0}),
    "size negative": ({"totalBytes": -3}, {"size": 0}),
    "reference a word": ({"ref": "abc"}, {"ref": 0}),
    "reference negative": ({"ref": -5}, {"ref": 0}),
    "reference huge": ({"ref": 10**30}, {"ref": 0}),
    "error escaped": ({"errorDescription": "row\n3 \x1b[31mred"}, {"error": "row 3 [31mred"}),
    "error signed": (
        {"errorDescription": "https://a.org/b?X-Goog-Signature=5ecre7"},
        {"error": "https://a.org/b"},
    ),
    "error a list": ({"errorDescription": []}, {"error": ""}),
}


@pytest.mark.parametrize("case", ODD)
def test_one_invalid_entry_hides_no_other(server: Kaggle, case: str) -> None:
    sent, seen = ODD[case]
    odd = GOOD | {"ref": 8} | sent
    server.play("ListSubmissions", page(json.dumps({"submissions": [odd, None, 5, GOOD]})))
    found = api.list_submissions(SLUG)
    assert len(found) == 2
    [good] = [each for each in found if each.ref == 7]
    assert (good.date, good.status) == (datetime(2017, 9, 1, 12, 0, 0, 123456, UTC), "complete")
    assert (good.public, good.private, good.size) == (0.5, 0.25, 3)
    [other] = [each for each in found if each.ref != 7]
    assert {key: getattr(other, key) for key in seen} == seen


def test_invalid_entries_of_files(server: Kaggle) -> None:
    files: list[Any] = [{"name": name, "totalBytes": 1} for name in (None, 7, "", ["a"])]
    sizes = [-1, "x", 10**15 + 1, 1.5, True, 0]
    files += [{"name": str(place), "totalBytes": size} for place, size in enumerate(sizes)]
    files += ["a.csv", {"name": "whole", "totalBytes": 5}, {"name": "untold"}]
    server.play("ListDataFiles", page(json.dumps({"files": files, "nextPageToken": 7})))
    none = {str(place): None for place in range(len(sizes))}
    assert api.list_competition_files(SLUG) == none | {"whole": 5, "untold": None}


def test_endless_lists_are_refused(server: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MAX_PAGES", 3)
    for number in range(3):
        entry = GOOD | {"ref": number + 1, "name": f"{number}.csv"}
        answer = {"submissions": [entry], "files": [entry], "nextPageToken": f"{number}"}
        for call in ("ListSubmissions", "ListDataFiles"):
            server.play(call, page(json.dumps(answer)))
    for ask in (api.list_submissions, api.list_competition_files):
        with pytest.raises(RemoteError) as error:
            ask(SLUG)
        assert words(error) == (
            f"{SLUG}: Kaggle's list does not end\n"
            "  found: new entries on each of 3 pages\n"
            "  to do: run it again later"
        )
