"""What a server lists may be nonsense or old, and what lies in the cache may be in the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import DataError, RemoteError, ResourceError
from darkroom.raw.sources import cache, files
from darkroom.raw.sources.files import Offer, Order
from darkroom.remote import https
from darkroom.remote.retry import RetryPolicy
from tests.support.loopback import Kaggle, NoHash

BODY = b"1,2\n" * 50


def offer(kaggle: Kaggle, folder: Path, ask: Callable[[], Any]) -> Offer:
    return Offer("here", folder, ask, lambda name: https.opener(kaggle.url(f"/{name}")))


def order(folder: Path, *names: str) -> Order:
    return Order(lambda _: list(names), folder / "raw", RetryPolicy(tries=3, sleep=lambda _: None))


def served(name: str = "a.csv") -> Kaggle:
    kaggle = Kaggle()
    kaggle.files[f"/{name}"] = BODY
    return kaggle


def fill(kaggle: Kaggle, folder: Path, sizes: Any, *names: str) -> list[str]:
    return files.fill(offer(kaggle, folder / "cache", lambda: sizes), order(folder, *names))


@pytest.mark.parametrize("size", [-15, 10**30, float("inf"), "many", True, {"a": 1}, 2.5])
def test_a_size_that_no_file_has_counts_as_not_told(
    tmp_path: Path, size: object, capfd: pytest.CaptureFixture[str]
) -> None:
    with served() as kaggle:
        assert fill(kaggle, tmp_path, {"a.csv": size, None: 5}, "a.csv") == ["a.csv"]
    listing = cache.read(tmp_path / "cache")
    assert listing is not None
    assert listing.sizes == {"a.csv": None}
    assert "a.csv  200 bytes\n" in capfd.readouterr().err


def test_a_size_that_is_out_of_date_is_asked_for_anew_and_what_is_here_stays(
    tmp_path: Path,
) -> None:
    with served() as kaggle:
        kaggle.files["/b.csv"] = BODY
        kaggle.always("storage", NoHash())
        with pytest.raises(RemoteError) as caught:
            fill(kaggle, tmp_path, {"b.csv": 200, "a.csv": 199}, "b.csv", "a.csv")
        assert str(caught.value).splitlines() == [
            "a.csv: what came is not of the size that the server lists",
            "  found: 200 bytes",
            "  expected: 199 bytes",
            "  to do: run it again: the list of files is then asked for anew",
        ]
        kaggle.requests.clear()
        sizes = {"b.csv": 200, "a.csv": 200}
        assert fill(kaggle, tmp_path, sizes, "b.csv", "a.csv") == ["a.csv", "b.csv"]
        assert [request.path for request in kaggle.requests] == ["/a.csv"]


def test_a_size_for_which_there_is_no_room_is_asked_for_anew(tmp_path: Path) -> None:
    with served() as kaggle:
        with pytest.raises(ResourceError, match="not enough disk space"):
            fill(kaggle, tmp_path, {"a.csv": 10**15}, "a.csv")
        assert fill(kaggle, tmp_path, {"a.csv": 200}, "a.csv") == ["a.csv"]


def test_a_name_that_no_disk_takes_is_told(tmp_path: Path) -> None:
    name = "é" * 150 + ".csv"
    with served() as kaggle, pytest.raises(RemoteError) as caught:
        fill(kaggle, tmp_path, {name: 5}, name)
    assert "here: a file name too long for a disk\n  found: éé" in str(caught.value)
    assert kaggle.requests == []


@pytest.mark.parametrize("ending", ["", ".part", ".part.json", ".zip"])
def test_a_folder_in_the_way_is_told_before_anything_is_fetched(
    tmp_path: Path, ending: str
) -> None:
    place = tmp_path / f"cache/a.csv{ending}"
    place.mkdir(parents=True)
    with served() as kaggle, pytest.raises(DataError) as caught:
        fill(kaggle, tmp_path, {"a.csv": 200}, "a.csv")
    assert f"{place}: a folder lies where a file is to be saved\n" in str(caught.value)
    assert kaggle.requests == []


def test_a_file_edited_among_the_raw_files_is_fetched_anew(tmp_path: Path) -> None:
    with served() as kaggle:
        fill(kaggle, tmp_path, {"a.csv": 200}, "a.csv")
        (tmp_path / "link.csv").hardlink_to(tmp_path / "cache/a.csv")
        (tmp_path / "link.csv").write_bytes(b"3" * 200)
        kaggle.requests.clear()
        assert fill(kaggle, tmp_path, {"a.csv": 200}, "a.csv") == ["a.csv"]
        assert [request.path for request in kaggle.requests] == ["/a.csv"]
        assert (tmp_path / "cache/a.csv").read_bytes() == BODY
        assert (tmp_path / "link.csv").read_bytes() == b"3" * 200
