"""The download cache: its folders, its record, one process at a time."""

import multiprocessing
import threading
from pathlib import Path

import pytest

from darkroom.errors import ParamsError
from darkroom.raw.sources import cache
from darkroom.raw.sources.cache import FolderRecord, SavedFile
from tests.support.packed import zip_of

ODD_SIZES = ("-15", "1" + 30 * "0", "1e999", "NaN", "5.5", "true", '"5"', "[5]")
ODD_NAMES = (
    ('"a"', '"../a"'),
    ('"../a"', '"../a"'),
    ('"b/a"', '"b/a"'),
    ('"a"', '"b"'),
    ('"a"', "5"),
    ('""', '""'),
)


def kept(items: str) -> str:
    return f'{{"listed": {{}}, "kept": {{{items}}}}}'


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_the_cache_lies_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache.cache_root() == tmp_path / "home/.cache/darkroom"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.cache_root() == tmp_path / "home/.cache/darkroom"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_root() == tmp_path / "xdg/darkroom"
    monkeypatch.setenv("DARKROOM_CACHE", "")
    assert cache.cache_root() == tmp_path / "xdg/darkroom"
    monkeypatch.setenv("DARKROOM_CACHE", "~/mine")
    assert cache.cache_root() == tmp_path / "home/mine"
    monkeypatch.setenv("DARKROOM_CACHE", "near")
    assert cache.cache_root() == tmp_path / "near"


def test_each_source_has_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path))
    assert cache.competition_folder("cars") == tmp_path / "competitions/cars"
    assert cache.dataset_folder("me/faces") == tmp_path / "datasets/me/faces"
    assert cache.dataset_folder("me/faces/versions/2") == tmp_path / "datasets/me/faces/2"
    one, two = ("a.csv", "https://a.org/1", None), ("b.csv", "https://a.org/2", "ab" * 32)
    folder = cache.urls_folder([one, two])
    assert folder.parent == tmp_path / "urls"
    assert len(folder.name) == 16
    assert folder == cache.urls_folder([two, one])
    assert folder != cache.urls_folder([one, (*two[:2], None)])
    assert folder != cache.urls_folder([one])
    assert folder != cache.urls_folder([(two[0], *one[1:]), (one[0], *two[1:])]), "names swapped"


def test_a_record_is_read_as_written(tmp_path: Path) -> None:
    record = FolderRecord({"a.zip": 5, "b.csv": None}, {"b.csv": SavedFile("b.csv.zip", 3, 5)})
    cache.write_record(tmp_path, record)
    assert cache.read_record(tmp_path) == record


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"listed": {}}', '{"listed": 3, "kept": {}}'),
        *('{"listed": {"a": "x"}, "kept": {}}', '{"listed": {}, "kept": {"a": 3}}'),
        *(f'{{"listed": {{"a": {size}}}, "kept": {{}}}}' for size in ODD_SIZES),
        *(kept(f'"a": ["a", {size}, 1]') for size in (*ODD_SIZES, "null")),
        *(kept(f'"a": ["a", 5, {time}]') for time in ("null", "1.5", '"1"')),
        *(kept(f"{listed}: [{saved}, 5, 1]") for listed, saved in ODD_NAMES),
        *("[" * 100_000, "null", "\xff", kept('"a": ["a", 5]')),
    ],
)
def test_a_damaged_record_is_read_as_none(tmp_path: Path, text: str) -> None:
    assert cache.read_record(tmp_path) is None
    (tmp_path / "listing.json").write_text(text)
    assert cache.read_record(tmp_path) is None


def test_a_file_is_complete_when_it_has_its_name(tmp_path: Path) -> None:
    record = FolderRecord({"a.zip": 5})
    assert cache.saved_name(tmp_path, record, "a.zip") is None
    (tmp_path / "a.zip.part").write_bytes(b"123")
    assert cache.saved_name(tmp_path, record, "a.zip") is None
    (tmp_path / "a.zip").write_bytes(b"12345")
    assert cache.saved_name(tmp_path, record, "a.zip") == "a.zip"


def test_a_saved_file_of_another_size_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"12345")
    record = cache.record_file(tmp_path, FolderRecord({"a.zip": 5}), "a.zip", path)
    assert cache.read_record(tmp_path) == record
    assert cache.saved_name(tmp_path, record, "a.zip") == "a.zip"
    path.write_bytes(b"1234")
    assert cache.saved_name(tmp_path, record, "a.zip") is None


def test_an_edited_file_is_not_complete(tmp_path: Path) -> None:
    path, link = tmp_path / "a.zip", tmp_path / "raw.zip"
    path.write_bytes(b"12345")
    record = cache.record_file(tmp_path, FolderRecord({"a.zip": 5}), "a.zip", path)
    link.hardlink_to(path)
    path.chmod(0o444)
    assert cache.saved_name(tmp_path, record, "a.zip") == "a.zip", (
        "a link or a mode changes nothing"
    )
    path.chmod(0o644)
    link.write_bytes(b"1234x")
    assert cache.saved_name(tmp_path, record, "a.zip") is None


def test_a_packed_table_is_recognised(tmp_path: Path) -> None:
    record, path = FolderRecord({"a.csv": 50}), tmp_path / "a.csv.zip"
    whole = zip_of(path, {"a.csv": b"1,2\n" * 99}).read_bytes()
    assert cache.saved_name(tmp_path, record, "a.csv") == "a.csv.zip", "the run was killed then"
    path.write_bytes(whole[:-9])
    assert cache.saved_name(tmp_path, record, "a.csv") is None, "cut, and its size is not known"
    path.write_bytes(whole)
    record = cache.record_file(tmp_path, record, "a.csv", path)
    assert cache.saved_name(tmp_path, record, "a.csv") == "a.csv.zip"
    path.write_bytes(whole[:-9])
    assert cache.saved_name(tmp_path, record, "a.csv") is None


@pytest.mark.parametrize(
    ("listed", "there", "is_here"),
    [(5, 5, True), (5, 4, False), (5, 6, False), (None, 5, True), (None, 0, False), (0, 0, False)],
)
def test_an_unrecorded_file_is_complete_if_its_size_is_as_listed(
    tmp_path: Path, listed: int | None, there: int, is_here: bool
) -> None:
    (tmp_path / "a.csv").write_bytes(bytes(there))
    result = cache.saved_name(tmp_path, FolderRecord({"a.csv": listed}), "a.csv")
    assert result == ("a.csv" if is_here else None)


def test_the_recorded_size_counts_more_than_the_listed_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2\n")
    record = cache.record_file(tmp_path, FolderRecord({"a.csv": 50}), "a.csv", path)
    assert cache.saved_name(tmp_path, record, "a.csv") == "a.csv"


def test_an_archive_that_is_listed_itself_is_not_the_packed_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv.zip").write_bytes(b"PK")
    record = FolderRecord({"a.csv": 50, "a.csv.zip": 2})
    assert cache.saved_name(tmp_path, record, "a.csv") is None
    assert cache.saved_name(tmp_path, record, "a.csv.zip") == "a.csv.zip"


def test_a_second_process_prints_a_line_and_waits(
    tmp_path: Path, waiting: threading.Event, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, order = tmp_path / "deep" / "folder", []

    def second() -> None:
        with cache.lock(folder):
            order.append("second")

    with cache.lock(folder):
        thread = threading.Thread(target=second)  # flock holds per open file: threads count too
        thread.start()
        assert waiting.wait(60)
        thread.join(0.2)
        assert thread.is_alive()
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
    assert capfd.readouterr().err == f"waiting for another fetch that is filling {folder}\n"


def _hold(folder: Path, held: "multiprocessing.synchronize.Event") -> None:
    with cache.lock(folder):
        held.set()
        threading.Event().wait(60)


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held))
    process.start()
    assert held.wait(60)
    process.kill()
    process.join(60)
    with cache.lock(tmp_path):
        pass


def test_an_invalid_version_is_not_pinned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path))
    cache.pin_version("me/faces/versions/2")
    assert cache.pinned_version("me/faces") == "me/faces/versions/2"
    for odd in ("0", "-3", "true", "2.5", '"2"', "null", "1e999", "9" * 30, "[1]"):
        (tmp_path / "datasets/me/faces/newest.json").write_text(f'{{"version": {odd}}}')
        assert cache.pinned_version("me/faces") is None, odd
    for odd in ("", "[]", "3", "{}", "[" * 100_000):
        (tmp_path / "datasets/me/faces/newest.json").write_text(odd)
        assert cache.pinned_version("me/faces") is None, odd


def test_the_home_of_an_unknown_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", "~nosuchuser/c")
    with pytest.raises(ParamsError) as caught:
        cache.cache_root()
    assert str(caught.value).splitlines()[:2] == [
        "there is no such user, so no home folder",
        "  found: DARKROOM_CACHE=~nosuchuser/c",
    ]
