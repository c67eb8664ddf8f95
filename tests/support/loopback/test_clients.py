import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.loopback import (
    KEY,
    REFRESH_TOKEN,
    TOKEN,
    USERNAME,
    WRONG_TOKEN,
    Competition,
    Dataset,
    Kaggle,
)
from tests.support.loopback.calls import BODY, REF, SLUG, address, call


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with Kaggle() as kaggle:
        kaggle.competitions[SLUG] = Competition({"train.zip": BODY, "train_masks.csv": b"img\n"})
        kaggle.datasets[REF] = Dataset(version=2, bundle=BODY, older={1: BODY[:10]})
        yield kaggle


def test_kagglehub_fetches_a_competition_file(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kagglehub

    kaggle.redirect_clients(monkeypatch)
    path = Path(kagglehub.competition_download(SLUG, path="train.zip"))
    assert path.read_bytes() == BODY
    assert path.is_relative_to(kaggle.home)
    asked, sent = kaggle.requests
    assert (asked.kind, asked.authorization) == ("DownloadDataFile", f"Bearer {TOKEN}")
    assert (sent.kind, sent.authorization) == ("storage", None)
    assert (sent.status, sent.bytes_sent) == (200, len(BODY))


def test_kagglehub_fetches_a_data_set_without_an_account(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import kagglehub

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("list_attr_celeba.csv", "image_id\n")
    kaggle.datasets[REF].bundle = (tmp_path / "all.zip").read_bytes()
    kaggle.redirect_clients(monkeypatch, token=None)
    folder = Path(kagglehub.dataset_download(REF))
    assert (folder / "list_attr_celeba.csv").read_text() == "image_id\n"
    assert [request.kind for request in kaggle.requests] == [
        "GetDataset",
        "DownloadDataset",
        "storage",
    ]


def test_kagglehub_raises_when_the_rules_are_not_accepted(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kagglehub
    from kagglehub.exceptions import KaggleApiHTTPError

    kaggle.redirect_clients(monkeypatch)
    kaggle.competitions[SLUG].rules_accepted = False
    with pytest.raises(KaggleApiHTTPError, match="accepted the competition rules"):
        kagglehub.competition_download(SLUG, path="train.zip")


def test_a_packed_table_comes_as_a_zip(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    import kagglehub

    kaggle.redirect_clients(monkeypatch)
    kaggle.competitions[SLUG].packed.add("train_masks.csv")
    path = Path(kagglehub.competition_download(SLUG, path="train_masks.csv"))
    assert path.read_bytes() == b"img\n"
    assert kaggle.requests[-1].path == f"/storage/competitions/{SLUG}/train_masks.csv.zip"


WHOLE_CIRCLE = """
import json, sys
import kaggle
slug, path = sys.argv[1:]
done = kaggle.api.competition_submit(path, "first, with 'quotes'", slug, quiet=True)
rows = kaggle.api.competition_submissions(slug)
left = kaggle.api.competition_get_submission_limits(slug)
files = kaggle.api.competition_list_files(slug, page_size=1)
names = [(file.name, file.total_bytes) for file in files.files]
print(json.dumps([done.to_dict(), [row.to_dict() for row in rows], left.to_dict(),
                  names, files.next_page_token]))
"""


def test_kaggles_client_submits_lists_and_counts(kaggle: Kaggle, tmp_path: Path) -> None:
    file = tmp_path / "masks.csv.gz"
    file.write_bytes(BODY)
    command = [sys.executable, "-c", WHOLE_CIRCLE, SLUG, str(file)]
    run = subprocess.run(command, env=kaggle.environ(), capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    done, rows, left, names, following = json.loads(run.stdout)
    (made,) = kaggle.competitions[SLUG].submissions
    assert (made.description, made.file_name) == ("first, with 'quotes'", "masks.csv.gz")
    assert made.sha256 == hashlib.sha256(BODY).hexdigest()
    assert made.size == len(BODY)
    assert done == {
        "message": "Successfully submitted to Carvana Image Masking Challenge",
        "ref": made.ref,
    }
    assert [(row["ref"], row["status"], row["publicScore"]) for row in rows] == [
        (made.ref, "COMPLETE", "0.99512")
    ]
    assert rows[0]["date"] == "2017-09-01T12:00:00.000Z"
    assert left == {"numToday": 1, "numTotal": 1, "numAllowedNow": 4}
    assert (names, following) == ([["train.zip", 100_000]], "1")
    assert [request.kind for request in kaggle.requests] == [
        "IntrospectToken",
        "StartSubmissionUpload",
        "upload",
        "CreateSubmission",
        "ListSubmissions",
        "GetSubmissionLimits",
        "ListDataFiles",
    ]
    assert kaggle.requests_of("upload")[0].authorization is None


def test_an_oauth_login_gets_a_token(kaggle: Kaggle) -> None:
    folder = kaggle.home / ".kaggle"
    folder.mkdir()
    about = {"refresh_token": REFRESH_TOKEN, "username": USERNAME}
    (folder / "credentials.json").write_text(json.dumps(about))
    script = f"import kaggle; print(kaggle.api.competition_submissions({SLUG!r}))"
    command = [sys.executable, "-c", script]
    environment = kaggle.environ(token=None)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert run.stdout == "[]\n", run.stderr
    assert [request.kind for request in kaggle.requests] == [
        "GenerateAccessToken",
        "ListSubmissions",
    ]


@pytest.mark.parametrize(
    ("method", "body", "token", "status", "words"),
    [
        ("ListDataFiles", {"competitionName": SLUG}, None, 401, "Unauthenticated"),
        ("ListDataFiles", {"competitionName": SLUG}, WRONG_TOKEN, 401, "Unauthenticated"),
        ("ListDataFiles", {"competitionName": "x"}, TOKEN, 404, "Not found: x"),
        ("ListSomething", {}, TOKEN, 404, "no method ListSomething"),
        ("DownloadDataFile", {"competitionName": SLUG, "fileName": "x"}, TOKEN, 404, "x"),
        ("GetDataset", {"ownerSlug": "a", "datasetSlug": "b"}, TOKEN, 404, "a/b"),
        ("GetDataset", {"ownerSlug": "a", "datasetSlug": "b"}, WRONG_TOKEN, 401, "Unauth"),
        ("CreateSubmission", {"competitionName": SLUG}, TOKEN, 400, "was not uploaded"),
    ],
)
def test_refusals_are_kaggles(
    kaggle: Kaggle,
    method: str,
    body: dict[str, Any],
    token: str | None,
    status: int,
    words: str,
) -> None:
    answer = call(kaggle, method, token, **body)
    assert answer.status_code == answer.json()["code"] == status
    assert words in answer.json()["message"]


def test_a_user_name_and_a_key_are_an_account_too(kaggle: Kaggle) -> None:
    pair = base64.b64encode(f"{USERNAME}:{KEY}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}"}
    url = address(kaggle, "GetSubmissionLimits")
    answer = requests.post(url, json={"competitionName": SLUG}, headers=headers, timeout=5)
    assert answer.json()["numAllowedNow"] == 5


def test_versions_and_a_private_data_set(kaggle: Kaggle) -> None:
    owner, slug = REF.split("/")
    name = {"ownerSlug": owner, "datasetSlug": slug}
    about = call(kaggle, "GetDataset", **name).json()
    assert (about["currentVersionNumber"], about["totalBytes"]) == (2, len(BODY))
    for version, body in ((1, BODY[:10]), (2, BODY)):
        way = call(kaggle, "DownloadDataset", **name, datasetVersionNumber=version)
        assert requests.get(way.headers["Location"], timeout=5).content == body
    assert call(kaggle, "DownloadDataset", **name, datasetVersionNumber=3).status_code == 404
    kaggle.datasets[REF].is_private = True
    assert call(kaggle, "GetDataset", **name).status_code == 403


def test_nothing_leaves_for_other_hosts(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    kaggle.redirect_clients(monkeypatch)
    assert requests.get("http://example.org/x", timeout=5).status_code == 502
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("https://example.org/x", timeout=5)
    assert [request.kind for request in kaggle.requests] == ["outside", "outside"]


def test_the_environment_holds_nothing_of_the_users(
    kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "mine")
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("DARKROOM_CACHE", "mine")
    environment = kaggle.environ(token=None)
    gone = {"KAGGLE_KEY", "KAGGLE_API_TOKEN", "no_proxy", "DARKROOM_CACHE"}
    assert not gone & environment.keys()
    assert environment["HOME"] == str(kaggle.home) != os.environ.get("HOME")


def test_two_servers_answer_alike_and_nothing_is_left_of_them() -> None:
    told = []
    for _ in range(2):
        with Kaggle() as kaggle:
            kaggle.competitions[SLUG] = Competition({"train.zip": BODY})
            way = call(kaggle, "DownloadDataFile", competitionName=SLUG, fileName="train.zip")
            assert requests.get(way.headers["Location"], timeout=5).content == BODY
            told.append([(request.path, request.query) for request in kaggle.requests])
        assert not [thread for thread in threading.enumerate() if thread.name == "kaggle"]
        assert not kaggle.home.exists()
        with pytest.raises(requests.ConnectionError):
            requests.get(kaggle.url("/"), timeout=5)
    assert told[0] == told[1]
