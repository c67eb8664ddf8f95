"""A cache folder filled file by file: once, only what is wanted, and only if it fits."""

import hashlib
import os
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import DataError, RemoteError, ResourceError
from darkroom.project.names import MissingFileError, pick_name
from darkroom.raw.sources import cache, plan
from darkroom.raw.sources.cache import FolderRecord
from darkroom.raw.sources.files import FilesInFoldersError, FileSource, fetch_files
from darkroom.raw.sources.plan import Selection, Sizes
from darkroom.remote import disk_space, https
from darkroom.remote.download import Opener
from darkroom.remote.retry import RetryPolicy
from tests.support.loopback import Corrupt, Cut, IgnoreRange, Kaggle, NoHash, Status
from tests.support.packed import zip_of

QUICK = RetryPolicy(tries=3, sleep=lambda _: None)
NAMES = ("a.zip", "b.csv", "c.zip")
BODY = b"1,2\n" * 50


@pytest.fixture
def kaggle(tmp_path: Path) -> Iterator[Kaggle]:
    with Kaggle() as server:
        for name in NAMES:
            body = zip_of(tmp_path / "made" / name, {"1.jpg": os.urandom(5000)}).read_bytes()
            server.files[f"/{name}"] = body
        yield server
        assert server.unused_faults() == []


def offer(kaggle: Kaggle, folder: Path, sizes: Sizes | None = None, **sha256: str) -> FileSource:
    """Return all files of the server, their sizes listed unless others are given."""
    real = {path[1:]: len(body) for path, body in kaggle.files.items()}
    return FileSource(
        origin="here",
        folder=folder,
        list_files=lambda: real if sizes is None else sizes,
        open=lambda name: https.opener(kaggle.url(f"/{name}")),
        sha256={name.replace("_", "."): digest for name, digest in sha256.items()},
    )


def select(raw: Path, *stems: str) -> Selection:
    def choose(names: Collection[str]) -> list[str]:
        return [pick_name(names, stem) for stem in stems]

    return Selection(choose, raw, QUICK)


def same(kaggle: Kaggle, folder: Path, *names: str) -> bool:
    return all((folder / name).read_bytes() == kaggle.files[f"/{name}"] for name in names)


def test_only_selected_files_are_fetched_and_only_once(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, selection = tmp_path / "cache", select(tmp_path / "raw", "a", "b.csv")
    assert fetch_files(offer(kaggle, folder), selection) == ["a.zip", "b.csv"]
    assert same(kaggle, folder, "a.zip", "b.csv")
    assert [request.path for request in kaggle.requests] == ["/a.zip", "/b.csv"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.zip", "b.csv", "listing.json"]
    total = sum(len(kaggle.files[f"/{name}"]) for name in ("a.zip", "b.csv"))
    output = capfd.readouterr().err
    assert (
        f"to fetch from here: {disk_space.format_bytes(total)}\n  a.zip  5.1 kB\n  b.csv  5.1 kB\n"
        in output
    )
    assert f"into {folder}: 0 bytes already there, " in output

    def never() -> Sizes:
        raise AssertionError("asked for the list again")

    kaggle.requests.clear()
    again = FileSource("here", folder, never, offer(kaggle, folder).open)
    assert fetch_files(again, selection) == ["a.zip", "b.csv"]
    assert kaggle.requests == []
    assert capfd.readouterr().err == f"here: everything is already downloaded, in {folder}\n"
    assert fetch_files(again, select(tmp_path / "raw", "a", "c")) == ["a.zip", "c.zip"]
    assert [request.path for request in kaggle.requests] == ["/c.zip"]


def test_a_cut_file_is_resumed_by_the_next_run(kaggle: Kaggle, tmp_path: Path) -> None:
    folder, selection = tmp_path / "cache", select(tmp_path / "raw", "a", "c")
    kaggle.play("storage", None, Cut(0.5), Status(503), Status(503))
    with pytest.raises(RemoteError, match="gave up"):
        fetch_files(offer(kaggle, folder), selection)
    kept = (folder / "c.zip.part").stat().st_size
    assert kept > 1000
    assert same(kaggle, folder, "a.zip")
    kaggle.requests.clear()
    assert fetch_files(offer(kaggle, folder), selection) == ["a.zip", "c.zip"]
    assert [(r.path, r.range_start) for r in kaggle.requests] == [("/c.zip", kept)]
    assert same(kaggle, folder, "a.zip", "c.zip")


def test_a_damaged_file_in_the_cache_is_fetched_again(kaggle: Kaggle, tmp_path: Path) -> None:
    folder, selection = tmp_path / "cache", select(tmp_path / "raw", "a")
    fetch_files(offer(kaggle, folder), selection)
    (folder / "a.zip").write_bytes(b"cut short")
    assert fetch_files(offer(kaggle, folder), selection) == ["a.zip"]
    assert same(kaggle, folder, "a.zip")


def test_unlisted_sizes_are_requested_before_any_file(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache"
    kaggle.play("storage", None, IgnoreRange())
    unknown: Sizes = dict.fromkeys(NAMES)
    assert fetch_files(offer(kaggle, folder, unknown), select(tmp_path / "raw", "a", "c")) == [
        "a.zip",
        "c.zip",
    ]
    assert [r.path for r in kaggle.requests] == ["/a.zip", "/c.zip", "/a.zip", "/c.zip"]
    assert kaggle.requests[0].bytes_sent == 1
    assert "to fetch from here: 10.2 kB\n  a.zip  5.1 kB\n" in capfd.readouterr().err


def test_what_does_not_fit_is_refused_before_a_download(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, raw = tmp_path / "cache", tmp_path / "project" / "raw"
    sizes: Sizes = {"a.zip": 700, "b.csv": 10**15, "c.zip": 300}
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 2999)
    with pytest.raises(ResourceError) as caught:
        fetch_files(offer(kaggle, folder, sizes), select(raw, "a", "c"))
    assert str(caught.value).startswith(
        f"{folder}: not enough disk space for the download\n  found: 3.0 kB free\n"
        "  expected: 3.0 kB: 1.0 kB to fetch, 2.0 kB for the project's copy\n  to do: free 1 bytes"
    )
    assert kaggle.requests == []


def test_space_is_needed_for_missing_bytes_only(tmp_path: Path) -> None:
    folder, raw = tmp_path / "cache", tmp_path / "raw"
    for place in (folder, raw):
        place.mkdir()
    (folder / "a.zip.part").write_bytes(bytes(30))
    (raw / "b.csv").write_bytes(bytes(7))
    assert plan.download_need(folder, {"a.zip": 100, "c.zip": None}).size == 70


def test_new_files_are_copied_twice_and_others_once(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(bytes(7))
    assert plan.copy_need(tmp_path, {"a.zip": 100, "b.csv": 7, "c.zip": 5}).size == 217
    assert plan.copy_need(tmp_path, {"b.csv": 8}).size == 16


def test_a_wrong_sha256_is_refused_and_complete_files_stay(kaggle: Kaggle, tmp_path: Path) -> None:
    folder, selection = tmp_path / "cache", select(tmp_path / "raw", "a", "c")
    right = hashlib.sha256(kaggle.files["/a.zip"]).hexdigest()
    with pytest.raises(RemoteError) as caught:
        fetch_files(offer(kaggle, folder, a_zip=right, c_zip="0" * 64), selection)
    assert "c.zip: the download is not the file: its sha256 differs" in str(caught.value)
    assert f"expected: {'0' * 64}" in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == ["a.zip", "listing.json"]
    assert same(kaggle, folder, "a.zip")


def test_a_damaged_body_is_fetched_again(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.play("storage", (Corrupt(), NoHash()))
    fetch_files(offer(kaggle, tmp_path), select(tmp_path / "raw", "a"))
    assert same(kaggle, tmp_path, "a.zip")
    assert len(kaggle.requests) == 2


def test_a_missing_file_is_looked_for_in_a_new_list(kaggle: Kaggle, tmp_path: Path) -> None:
    selection = select(tmp_path / "raw", "new")
    with pytest.raises(MissingFileError, match="new is missing"):
        fetch_files(offer(kaggle, tmp_path), selection)
    kaggle.files["/new.zip"] = kaggle.files["/a.zip"]
    assert fetch_files(offer(kaggle, tmp_path), selection) == ["new.zip"]


@pytest.mark.parametrize(("size", "whole"), [(100, 120_005), (None, None)])
def test_a_folder_of_single_files_is_not_fetched_file_by_file(
    kaggle: Kaggle, tmp_path: Path, size: int | None, whole: int | None
) -> None:
    sizes: Sizes = {f"images/{number}.jpg": size for number in range(1200)} | {"b.csv": 5}
    here = offer(kaggle, tmp_path, sizes)
    with pytest.raises(FilesInFoldersError) as caught:
        fetch_files(here, select(tmp_path / "raw", "b.csv", "images"))
    assert caught.value.size == whole
    assert caught.value.wanted == whole
    with pytest.raises(FilesInFoldersError) as caught:
        fetch_files(here, select(tmp_path / "raw", "images"))
    assert caught.value.wanted == (size and whole and whole - 5)
    assert kaggle.requests == []
    assert fetch_files(here, select(tmp_path / "raw", "b.csv")) == ["b.csv"]


def test_unsafe_and_reserved_names_are_not_available() -> None:
    own = ["listing.json", "bundle.zip", "bundle/1.jpg"]
    names = [
        "../x.zip",
        "/y.zip",
        *own,
        "__MACOSX/._a.csv",
        "b/1.jpg",
        "b/2.jpg",
        "c/d/1.jpg",
        "c.zip",
        "a.csv",
    ]
    assert plan.available_names(names) == ["a.csv", "b.zip", "c.zip"]


def test_a_second_fetch_waits_for_the_first_and_fetches_nothing(
    kaggle: Kaggle, tmp_path: Path, waiting: threading.Event, capfd: pytest.CaptureFixture[str]
) -> None:
    at_hand = offer(kaggle, tmp_path)
    result: list[list[str]] = []

    def open_when_another_waits(name: str) -> Opener:
        assert waiting.wait(60)
        return at_hand.open(name)

    def run() -> None:
        slow = replace(at_hand, open=open_when_another_waits)
        result.append(fetch_files(slow, select(tmp_path / "raw", "a", "c")))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert result == [["a.zip", "c.zip"]] * 2
    assert [request.path for request in kaggle.requests] == ["/a.zip", "/c.zip"]
    output = capfd.readouterr().err
    assert f"waiting for another fetch that is filling {tmp_path}\n" in output
    assert "everything is already downloaded" in output


def test_a_damaged_record_costs_one_request_and_no_file(kaggle: Kaggle, tmp_path: Path) -> None:
    selection = select(tmp_path / "raw", "a")
    fetch_files(offer(kaggle, tmp_path), selection)
    (tmp_path / "listing.json").write_text("{")
    kaggle.requests.clear()
    assert fetch_files(offer(kaggle, tmp_path), selection) == ["a.zip"]
    assert kaggle.requests == []
    assert cache.read_record(tmp_path) == FolderRecord(
        {n: len(kaggle.files[f"/{n}"]) for n in NAMES}
    )


def test_a_lost_record_does_not_accept_a_damaged_file(kaggle: Kaggle, tmp_path: Path) -> None:
    selection = select(tmp_path / "raw", "a", "b.csv")
    fetch_files(offer(kaggle, tmp_path), selection)
    (tmp_path / "listing.json").unlink()
    (tmp_path / "b.csv").write_bytes(b"cut short")
    kaggle.requests.clear()
    assert fetch_files(offer(kaggle, tmp_path), selection) == ["a.zip", "b.csv"]
    assert [request.path for request in kaggle.requests] == ["/b.csv"]
    assert same(kaggle, tmp_path, "a.zip", "b.csv")


def test_a_requested_size_is_used_in_that_run_only(kaggle: Kaggle, tmp_path: Path) -> None:
    selection, unknown = select(tmp_path / "raw", "a", "b.csv"), dict.fromkeys(NAMES)
    kaggle.always("storage", NoHash())
    kaggle.play("storage", None, None, None, Status(404))
    with pytest.raises(RemoteError, match="no such file"):
        fetch_files(offer(kaggle, tmp_path, unknown), selection)
    assert (tmp_path / "a.zip").exists()
    kaggle.files["/b.csv"] = b"1,2\n" * 50  # another one by now
    assert fetch_files(offer(kaggle, tmp_path, unknown), selection) == ["a.zip", "b.csv"]
    assert same(kaggle, tmp_path, "a.zip", "b.csv")


def test_an_empty_file_is_not_kept(kaggle: Kaggle, tmp_path: Path) -> None:
    selection, right = select(tmp_path / "raw", "b.csv"), kaggle.files["/b.csv"]
    kaggle.files["/b.csv"] = b""
    with pytest.raises(RemoteError, match="the download is not the file: it is empty"):
        fetch_files(offer(kaggle, tmp_path), selection)
    assert [path.name for path in tmp_path.glob("b.csv*")] == []
    kaggle.files["/b.csv"] = right
    assert fetch_files(offer(kaggle, tmp_path), selection) == ["b.csv"]
    assert same(kaggle, tmp_path, "b.csv")


def served(name: str = "a.csv") -> Kaggle:
    kaggle = Kaggle()
    kaggle.files[f"/{name}"] = BODY
    return kaggle


def fetch(kaggle: Kaggle, folder: Path, sizes: Any, *names: str) -> list[str]:
    """Fetch files by name from a server that lists these sizes."""
    source = replace(offer(kaggle, folder / "cache"), list_files=lambda: sizes)
    return fetch_files(source, Selection(lambda _: list(names), folder / "raw", QUICK))


@pytest.mark.parametrize("size", [-15, 10**30, float("inf"), "many", True, {"a": 1}, 2.5])
def test_an_implausible_size_counts_as_unknown(
    tmp_path: Path, size: object, capfd: pytest.CaptureFixture[str]
) -> None:
    with served() as kaggle:
        assert fetch(kaggle, tmp_path, {"a.csv": size, None: 5}, "a.csv") == ["a.csv"]
    listing = cache.read_record(tmp_path / "cache")
    assert listing is not None
    assert listing.sizes == {"a.csv": None}
    assert "a.csv  200 bytes\n" in capfd.readouterr().err


def test_an_outdated_size_is_requested_again_and_complete_files_stay(
    tmp_path: Path,
) -> None:
    with served() as kaggle:
        kaggle.files["/b.csv"] = BODY
        kaggle.always("storage", NoHash())
        with pytest.raises(RemoteError) as caught:
            fetch(kaggle, tmp_path, {"b.csv": 200, "a.csv": 199}, "b.csv", "a.csv")
        assert str(caught.value).splitlines() == [
            "a.csv: the download does not have the size that the server lists",
            "  found: 200 bytes",
            "  expected: 199 bytes",
            "  to do: run it again: the list of files is then requested again",
        ]
        kaggle.requests.clear()
        sizes = {"b.csv": 200, "a.csv": 200}
        assert fetch(kaggle, tmp_path, sizes, "b.csv", "a.csv") == ["a.csv", "b.csv"]
        assert [request.path for request in kaggle.requests] == ["/a.csv"]


def test_a_size_that_does_not_fit_is_requested_again(tmp_path: Path) -> None:
    with served() as kaggle:
        with pytest.raises(ResourceError, match="not enough disk space"):
            fetch(kaggle, tmp_path, {"a.csv": 10**15}, "a.csv")
        assert fetch(kaggle, tmp_path, {"a.csv": 200}, "a.csv") == ["a.csv"]


def test_a_name_too_long_for_a_disk_is_refused(tmp_path: Path) -> None:
    name = "é" * 150 + ".csv"
    with served() as kaggle, pytest.raises(RemoteError) as caught:
        fetch(kaggle, tmp_path, {name: 5}, name)
    assert "here: a file name too long for a disk\n  found: éé" in str(caught.value)
    assert kaggle.requests == []


@pytest.mark.parametrize("ending", ["", ".part", ".part.json", ".zip"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_a_request(
    tmp_path: Path, ending: str
) -> None:
    place = tmp_path / f"cache/a.csv{ending}"
    place.mkdir(parents=True)
    with served() as kaggle, pytest.raises(DataError) as caught:
        fetch(kaggle, tmp_path, {"a.csv": 200}, "a.csv")
    assert f"{place}: a folder is where a file must be saved\n" in str(caught.value)
    assert kaggle.requests == []


def test_a_file_edited_among_the_raw_files_is_fetched_again(tmp_path: Path) -> None:
    with served() as kaggle:
        fetch(kaggle, tmp_path, {"a.csv": 200}, "a.csv")
        (tmp_path / "link.csv").hardlink_to(tmp_path / "cache/a.csv")
        (tmp_path / "link.csv").write_bytes(b"3" * 200)
        kaggle.requests.clear()
        assert fetch(kaggle, tmp_path, {"a.csv": 200}, "a.csv") == ["a.csv"]
        assert [request.path for request in kaggle.requests] == ["/a.csv"]
        assert (tmp_path / "cache/a.csv").read_bytes() == BODY
        assert (tmp_path / "link.csv").read_bytes() == b"3" * 200
