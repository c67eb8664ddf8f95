"""Interrupted downloads: resumed where they stopped, or started again, never mixed."""

import errno
import hashlib
import io
import json
import shutil
import subprocess
import sys
import time
from typing import BinaryIO

import pytest
from tqdm import tqdm

from darkroom.errors import ResourceError
from darkroom.remote import partial
from darkroom.remote.retry import RetryPolicy
from tests.support.download_rig import BODY, OTHER, Rig, zipped
from tests.support.loopback import (
    CutAt,
    Drip,
    Fault,
    IgnoreRange,
    Length,
    NewVersion,
    NoHash,
    NoValidators,
    Redirect,
    Stall,
    Status,
    WrongRange,
)


def test_a_file_is_downloaded_and_nothing_else(rig: Rig) -> None:
    assert rig.fetch() == rig.folder / "data.bin"
    assert (rig.folder / "data.bin").read_bytes() == BODY
    assert rig.names() == ["data.bin"]
    assert rig.sent == len(BODY)
    assert rig.kaggle.requests[0].headers["accept-encoding"] == "identity"


def test_an_empty_file_is_refused_unless_its_sha256_matches(rig: Rig) -> None:
    rig.serve(b"")
    assert rig.refused(size=0)[:2] == [
        "data.bin: the download is not the file: it is empty",
        "  found: 0 bytes",
    ]
    assert len(rig.starts) == 2
    assert rig.names() == []
    assert rig.fetch(size=0, sha256=hashlib.sha256().hexdigest()).read_bytes() == b""


def test_a_cut_at_every_tenth_repeats_no_byte(rig: Rig) -> None:
    cuts = [len(BODY) * tenth // 10 for tenth in range(1, 10)]
    rig.kaggle.play("storage", *map(CutAt, cuts))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, *cuts]
    assert rig.sent == len(BODY)
    assert rig.slept == [1.0] * 9  # each brought something, so none counts twice


@pytest.mark.parametrize("tenth", range(10))
def test_a_later_run_resumes_where_a_killed_one_stopped(rig: Rig, tenth: int) -> None:
    there = len(BODY) * tenth // 10 + 1000
    rig.leave_part(there)
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [there]
    etag = f'"{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"'
    assert rig.kaggle.requests[0].headers["if-range"] == etag
    assert rig.names() == ["data.bin"]


def test_a_killed_process_is_resumed(rig: Rig) -> None:
    rig.kaggle.play("storage", (Drip(1000, 0.005), Stall(0.9, 600)))  # it never ends by itself
    url, path = rig.kaggle.url("/d/data.bin"), rig.folder / "data.bin.part"
    code = (
        "from pathlib import Path; from darkroom.remote.https import opener;"
        "from darkroom.remote.download import RemoteFile, download;"
        "from darkroom.remote.retry import RetryPolicy;"
        f"download(RemoteFile('data.bin', opener({url!r}), 'here'), Path({str(rig.folder)!r}),"
        " policy=RetryPolicy())"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            while not (path.exists() and path.stat().st_size > 50_000):
                assert process.poll() is None
                time.sleep(0.005)
        finally:
            process.kill()
    there = path.stat().st_size
    assert 50_000 < there < len(BODY)
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, there]


def test_a_complete_part_needs_no_request(rig: Rig) -> None:
    rig.leave_part(len(BODY) - 1)
    with (rig.folder / "data.bin.part").open("ab") as file:
        file.write(BODY[-1:])
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == []


def test_a_refused_range_does_not_touch_the_part(rig: Rig) -> None:
    rig.leave_part(100_000)
    rig.kaggle.play("storage", Status(403, html=True))
    rig.refused()
    rig.kaggle.play("storage", Status(500, html=True))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [100_000] * 3


@pytest.mark.parametrize("damage", ["missing", "{", '{"etag": 5}', "of another"])
def test_a_part_of_unknown_identity_is_not_resumed(rig: Rig, damage: str) -> None:
    rig.leave_part(100_000)
    story = rig.folder / "data.bin.part.json"
    (rig.folder / "data.bin.part").write_bytes(OTHER[:100_000])
    if damage == "missing":
        story.unlink()
    elif damage == "of another":
        text = json.loads(story.read_text()) | {"etag": '"other"', "modified": None, "md5": None}
        story.write_text(json.dumps(text))
    else:
        story.write_text(damage)
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [100_000 if damage == "of another" else None]


def test_a_longer_announced_length_is_a_cut(rig: Rig) -> None:
    rig.kaggle.play("storage", Length(len(BODY) + 5))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, len(BODY), None]  # 416 tells the true size: from the start


@pytest.mark.parametrize("fault", [None, NoHash()])
def test_a_length_announced_too_short_is_noticed(rig: Rig, fault: Fault | None) -> None:
    rig.kaggle.play("storage", (Length(len(BODY) - 5), *([fault] if fault else [])))
    assert rig.fetch(size=len(BODY)).read_bytes() == BODY
    assert rig.starts == [None, None]


def test_a_range_ignored_is_not_appended(rig: Rig) -> None:
    rig.leave_part(100_000)
    rig.kaggle.play("storage", (IgnoreRange(), CutAt(200_000)), (IgnoreRange(), CutAt(50_000)))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [100_000, 200_000, 200_000]


@pytest.mark.parametrize("before", [1, 50_000, 100_000])
def test_a_range_that_begins_elsewhere_is_not_appended(rig: Rig, before: int) -> None:
    rig.leave_part(100_000)
    rig.kaggle.play("storage", WrongRange(before))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [100_000, None]
    assert rig.slept == []  # nothing was appended, nothing thrown away


@pytest.mark.parametrize("fault", [None, IgnoreRange()])
def test_a_new_version_between_parts_is_fetched_from_the_start(
    rig: Rig, fault: Fault | None
) -> None:
    rig.leave_part(100_000)
    rig.kaggle.play("storage", (NewVersion(OTHER), *([fault] if fault else [])))
    assert rig.fetch().read_bytes() == OTHER
    assert rig.starts == [100_000]


def test_a_file_that_keeps_changing_gives_up(rig: Rig) -> None:
    for n in range(4):
        rig.kaggle.play("storage", (NewVersion((BODY, OTHER)[n % 2]), CutAt(60_000)))
    lines = rig.refused(policy=RetryPolicy(tries=4, sleep=rig.slept.append))
    assert lines[0] == "data.bin: gave up after 4 failures in a row"


def test_a_file_without_validators_starts_again_after_each_cut(rig: Rig) -> None:
    rig.kaggle.always("storage", NoValidators(), NoHash())
    rig.kaggle.play("storage", CutAt(200_000), CutAt(100_000))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, None, None]


def test_last_modified_is_the_validator_without_an_etag(rig: Rig) -> None:
    rig.kaggle.always("storage", NoValidators(keep_last_modified=True), NoHash())
    rig.kaggle.play("storage", CutAt(200_000))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, 200_000]
    assert rig.kaggle.requests[-1].headers["if-range"].endswith("GMT")


def test_an_md5_is_the_validator_without_any_other(rig: Rig) -> None:
    rig.kaggle.always("storage", NoValidators())
    rig.kaggle.play("storage", CutAt(200_000))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, 200_000]
    rig.leave_part(100_000)
    rig.kaggle.files["/d/data.bin"] = OTHER  # without If-Range the server gives its middle
    rig.slept.clear()
    assert rig.fetch().read_bytes() == OTHER
    assert rig.starts == [100_000, None]
    assert rig.slept == []


def test_a_redirect_is_followed(rig: Rig) -> None:
    rig.kaggle.play("storage", Redirect(2), CutAt(100_000), Redirect(1))
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, None, None, 100_000, 100_000]


def test_a_slow_body_is_saved_as_it_arrives(rig: Rig) -> None:
    rig.serve(BODY[:2000])
    rig.kaggle.play("storage", (Drip(100, 0.001), CutAt(1500)))
    assert rig.fetch().read_bytes() == BODY[:2000]
    assert rig.starts == [None, 1500]


def test_a_table_sent_as_a_zip_gets_the_name_of_a_zip(rig: Rig) -> None:
    rig.serve(zipped(BODY), "data.bin.zip")
    rig.kaggle.always("storage", NoHash())
    rig.kaggle.play("storage", CutAt(100_000))
    path = rig.fetch(name="data.bin", size=len(BODY))
    assert path == rig.folder / "data.bin.zip"
    assert path.read_bytes() == zipped(BODY)
    assert rig.names() == ["data.bin.zip"]
    assert rig.starts == [None, 100_000]


def test_a_table_at_an_address_of_a_zip_keeps_its_name(rig: Rig) -> None:
    rig.serve(BODY, "data.bin.zip")
    assert rig.fetch(name="data.bin").name == "data.bin"


def test_a_disk_too_small_is_refused_before_a_byte_is_written(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 199_999, 199_999))
    with pytest.raises(ResourceError) as caught:
        rig.fetch()
    assert str(caught.value).startswith(
        f"{rig.folder}: not enough disk space for the download\n  found: 200.0 kB free\n"
        "  expected: 300.0 kB: 300.0 kB for the rest of data.bin\n  to do: free 100.0 kB, "
    )
    assert rig.names() == []
    monkeypatch.undo()
    rig.leave_part(100_001)  # its bytes need no space again
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 199_999, 199_999))
    assert rig.fetch().read_bytes() == BODY


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_keeps_the_part(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    append = partial.write_all

    def full(file: BinaryIO, data: bytes) -> None:
        append(file, data[: max(0, 120_000 - file.tell())])
        if file.tell() >= 120_000:
            raise OSError(code, "No space left on device")

    monkeypatch.setattr(partial, "write_all", full)
    with pytest.raises(ResourceError) as caught:
        rig.fetch()
    assert str(caught.value).splitlines() == [
        f"{rig.folder / 'data.bin.part'}: the disk is full",
        "  found: 120,000 bytes of the file are downloaded",
        "  to do: free some space, and run it again: what is already downloaded is kept",
    ]
    monkeypatch.undo()
    assert rig.fetch().read_bytes() == BODY
    assert rig.starts == [None, 120_000]


def test_the_bar_includes_the_bytes_from_before(rig: Rig) -> None:
    rig.leave_part(100_000)
    with tqdm(total=len(BODY), disable=False, file=io.StringIO()) as bar:
        rig.kaggle.play("storage", (IgnoreRange(), CutAt(200_000)), NewVersion(OTHER))
        rig.fetch(bar=bar)
        assert (bar.n, bar.initial) == (len(BODY), 100_000)
    rig.leave_part(5000)
    with tqdm(total=len(BODY), disable=True) as bar:
        assert rig.fetch(bar=bar).read_bytes() == OTHER
