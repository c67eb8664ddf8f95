"""Downloads of what is not the file: nothing gets its name, and the words say what to do."""

import hashlib
from random import Random

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.download import RemoteFile, download
from darkroom.remote.https import opener
from darkroom.remote.retry import RetryPolicy
from tests.support.download_rig import BODY, OTHER, Rig, zipped
from tests.support.loopback import (
    Corrupt,
    Cut,
    CutAt,
    Drip,
    Fault,
    Gzip,
    IgnoreRange,
    Length,
    NewVersion,
    NoAnswer,
    NoHash,
    NoValidators,
    Page,
    Redirect,
    Refuse,
    Status,
    WrongRange,
)

PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in &amp; go | Kaggle</title></head></html>"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "the server asks for a login"),
        (403, "the server does not allow public access"),
        (404, "there is no such file"),
        (410, "the file is no longer there"),
        (418, "the server refuses"),
    ],
)
def test_a_permanent_error_is_raised_at_once(rig: Rig, status: int, words: str) -> None:
    rig.kaggle.play("storage", Status(status))
    lines = rig.refused()
    assert lines[0] == f"{rig.kaggle.url('/d/data.bin')}: {words}"
    assert lines[1].startswith(f"  found: {status}")
    assert (rig.slept, len(rig.starts)) == ([], 1)


def test_a_busy_server_is_waited_for(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.kaggle.play("storage", Status(429, retry_after="17"), Status(429))
    assert rig.fetch().read_bytes() == BODY
    assert rig.slept == [17.0, 2.0]
    assert capsys.readouterr().err.splitlines() == [
        "data.bin: the server answered 429 Too Many Requests; retry in 17 s (1 of 3)",
        "data.bin: the server answered 429 Too Many Requests; retry in 2 s (2 of 3)",
    ]


def test_a_server_that_asks_for_hours_is_given_up(rig: Rig) -> None:
    rig.kaggle.play("storage", Status(429, retry_after="86400"))
    assert "  found: a pause of 24 h" in rig.refused()


@pytest.mark.parametrize("fault", [Status(500), Status(503, html=True), Refuse(), NoAnswer()])
def test_a_transient_error_is_retried(rig: Rig, fault: Fault | None) -> None:
    rig.kaggle.play("storage", fault)
    assert rig.fetch().read_bytes() == BODY
    assert rig.slept == [1.0]


def test_a_server_that_keeps_failing_is_given_up(rig: Rig) -> None:
    rig.kaggle.play("storage", Status(500), Status(500), Status(500))
    assert rig.refused() == [
        "data.bin: gave up after 3 failures in a row",
        "  found: the server answered 500 Internal Server Error",
        "  to do: run it again: what is already downloaded is kept",
    ]


def test_a_wrong_checksum_is_downloaded_again(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.kaggle.play("storage", Corrupt())
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, None]
    assert capsys.readouterr().err == (
        "data.bin: the download is not the file (its md5 differs); retry in 1 s (1 of 3)\n"
    )


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_checksum_that_stays_wrong_is_refused(rig: Rig, kind: str) -> None:
    spoilt = bytearray(BODY)
    spoilt[len(BODY) // 2] ^= 0xFF
    rig.kaggle.always("storage", Corrupt())
    right = hashlib.new(kind, BODY).hexdigest()
    assert rig.refused(**({"sha256": right} if kind == "sha256" else {})) == [
        f"data.bin: the download is not the file: its {kind} differs",
        f"  found: {hashlib.new(kind, spoilt).hexdigest()}",
        f"  expected: {right}",
        "  to do: run it again; if the error stays, the file at its source has changed",
    ]
    assert rig.names() == []
    assert len(rig.starts) == 2


def test_checksums_that_differ_each_time_are_refused(rig: Rig) -> None:
    for seed in range(3):
        spoilt = Random(seed).randbytes(1000)
        rig.kaggle.play("storage", (NewVersion(spoilt), CutAt(500)), NewVersion(spoilt))
    lines = rig.refused(sha256=hashlib.sha256(BODY).hexdigest())
    assert lines[0].endswith("its sha256 differs")
    assert len(rig.starts) == 6


def test_a_sha256_counts_more_than_the_server(rig: Rig) -> None:
    rig.kaggle.files["/d/data.bin"] = OTHER
    rig.kaggle.play("storage", None, NewVersion(BODY))
    assert rig.fetch(sha256=hashlib.sha256(BODY).hexdigest()).read_bytes() == BODY


def test_an_archive_without_a_checksum_is_read_through(rig: Rig) -> None:
    body = zipped(BODY)
    rig.serve(body, "data.zip")
    rig.kaggle.always("storage", NoHash())
    rig.kaggle.play("storage", Corrupt())
    assert rig.fetch().read_bytes() == body
    assert rig.starts == [None, None]


def test_a_table_without_a_checksum_has_its_listed_size(rig: Rig) -> None:
    rig.kaggle.always("storage", NoHash())
    lines = rig.refused(size=300_001)
    assert lines[1:3] == ["  found: 300,000 bytes", "  expected: 300,001 bytes"]


def test_endless_redirects_are_refused(rig: Rig) -> None:
    rig.kaggle.always("storage", Redirect())
    assert rig.refused()[:2] == [
        f"{rig.kaggle.url('/d/data.bin')}: can't be fetched",
        "  found: the server redirects without end",
    ]


@pytest.mark.parametrize("there", [0, 100_000])
def test_a_page_is_never_taken_for_a_file(rig: Rig, there: int) -> None:
    if there:
        rig.leave_part(there)
    rig.kaggle.play("storage", Page(PAGE))
    where = rig.kaggle.url("/d/data.bin")
    assert rig.refused() == [
        "data.bin: the server sent a web page instead of the file",
        "  found: “Sign in & go | Kaggle”",
        f"  expected: the file at {where}",
        f"  to do: open {where} in a browser: log in, accept what it asks for, or see whether a "
        "quota is used up; then run it again",
    ]
    assert rig.slept == []
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts[-1] == (there or None)  # the earlier bytes are still there


@pytest.mark.parametrize("fault", [None, Drip(7, 0.002), NoHash()])
def test_a_page_with_the_name_of_a_zip_is_refused(rig: Rig, fault: Fault | None) -> None:
    rig.serve(PAGE.encode(), "data.zip")
    rig.kaggle.play("storage", fault)
    lines = rig.refused()
    assert lines[0] == "data.zip: the server sent a web page instead of the file"
    assert lines[1] == "  found: “Sign in & go | Kaggle”"
    assert rig.names() == []
    assert rig.slept == []


def test_a_page_that_is_requested_is_downloaded(rig: Rig) -> None:
    rig.serve(PAGE.encode(), "notes.html")
    assert rig.fetch().read_text() == PAGE


def test_a_page_without_a_title_is_refused_too(rig: Rig) -> None:
    rig.kaggle.play("storage", Page("quota"))
    assert rig.refused()[1] == "  found: a page without a title"


def test_a_compressed_body_is_refused(rig: Rig) -> None:
    rig.kaggle.play("storage", Gzip())
    lines = rig.refused()
    assert lines[0].endswith("the server compresses the file, although it was asked not to")
    assert lines[1] == "  found: Content-Encoding: gzip"
    assert rig.names() == []


@pytest.mark.parametrize("name", ["../a", "a/b", "/a", "..", "a\\b", "C:a", ""])
def test_an_unsafe_name_is_refused(rig: Rig, name: str) -> None:
    remote = RemoteFile(name, opener(rig.kaggle.url("/d/data.bin")), "here")
    with pytest.raises(RemoteError, match="may lead out of the download folder"):
        download(remote, rig.folder, policy=RetryPolicy(), bar=None)
    assert rig.starts == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_random_faults_end_in_the_right_bytes_or_in_an_error(rig: Rig, share: float) -> None:
    rng = Random(share)
    faults: list[Fault] = [
        Cut(0.5), CutAt(250_000), Status(500), Status(429, retry_after="0"), Refuse(), NoAnswer(),
        Corrupt(), NoHash(), NoValidators(), IgnoreRange(), Length(299_000), Length(310_000),
        WrongRange(9), NewVersion(OTHER), NewVersion(BODY), Redirect(1), Page(PAGE), Gzip(),
    ]  # fmt: skip
    ends = set()
    for _ in range(10):
        rig.kaggle.files["/d/data.bin"] = BODY
        rig.kaggle.play("storage", *rng.sample(faults, 4), Cut(share))
        try:
            path = rig.fetch(size=len(BODY), policy=RetryPolicy(tries=4, sleep=rig.slept.append))
        except RemoteError as error:
            ends.add(str(error).splitlines()[-1][:9])
            assert not (rig.folder / "data.bin").exists()
        else:
            ends.add("the bytes")
            assert path.read_bytes() in (BODY, OTHER)
            path.unlink()
        rig.kaggle._played.clear()
    assert ends == {"the bytes", "  to do: "}
