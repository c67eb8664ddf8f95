"""A data set in the cache: its bundle fetched once, kept until it is taken apart, then gone."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from darkroom.errors import DataError, RemoteError, ResourceError
from darkroom.project.names import MissingFileError, pick
from darkroom.raw.sources import bundle, cache
from darkroom.raw.sources.bundle import Bundled
from darkroom.raw.sources.files import Order
from darkroom.remote import disk_space, https
from darkroom.remote.retry import RetryPolicy
from tests.support.loopback import Kaggle, Status
from tests.support.packed import zip_of

MEMBERS = {"faces/a/1.jpg": b"one" * 500, "faces/a/2.jpg": b"two" * 500, "a.csv": b"a\n1\n"}
QUICK = RetryPolicy(tries=3, sleep=lambda _: None)


@pytest.fixture
def kaggle(tmp_path: Path) -> Iterator[Kaggle]:
    with Kaggle() as server:
        server.files["/all.zip"] = zip_of(tmp_path / "made.zip", MEMBERS).read_bytes()
        yield server
        assert server.unplayed() == []


def data_set(kaggle: Kaggle, folder: Path, size: int | None = 3004) -> Bundled:
    url = kaggle.url("/all.zip")
    return Bundled("there", folder, lambda: size, https.opener(url))


def order(raw: Path, *stems: str) -> Order:
    def choose(names: Collection[str]) -> list[str]:
        return [pick(names, stem) for stem in stems]

    return Order(choose, raw, QUICK)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_bundle_is_fetched_once_and_let_go_when_it_is_taken_apart(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, wish = tmp_path / "cache", order(tmp_path / "raw", "faces", "a.csv")
    assert bundle.fill(data_set(kaggle, folder), wish) == ["faces.zip", "a.csv"]
    assert files(folder) == ["a.csv", "faces.zip", "listing.json"]
    assert (folder / "a.csv").read_bytes() == MEMBERS["a.csv"]
    assert len(kaggle.requests) == 1
    assert "to fetch from there: 3.0 kB\n  bundle.zip  3.0 kB\n" in capfd.readouterr().err
    assert bundle.fill(data_set(kaggle, folder), wish) == ["faces.zip", "a.csv"]
    assert len(kaggle.requests) == 1
    assert capfd.readouterr().err == f"there: everything is here already, in {folder}\n"


def test_a_size_that_is_not_told_is_asked_for_first(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle.fill(data_set(kaggle, tmp_path, None), order(tmp_path / "raw", "a.csv"))
    assert [request.range_start for request in kaggle.requests] == [0, None]
    size = len(kaggle.files["/all.zip"])
    assert f"bundle.zip  {disk_space.format_bytes(size)}\n" in capfd.readouterr().err


def test_a_run_killed_between_is_gone_on_with_without_a_request(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, wish = tmp_path / "cache", order(tmp_path / "raw", "faces", "a.csv")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            bundle.fill(data_set(kaggle, folder), wish)
    assert files(folder) == ["a.csv", "bundle.zip", "faces.zip", "listing.json"]
    (folder / "a.csv").unlink()
    (folder / "a.csv.part").write_bytes(b"half")
    kaggle.requests.clear()
    assert bundle.fill(data_set(kaggle, folder), wish) == ["faces.zip", "a.csv"]
    assert files(folder) == ["a.csv", "faces.zip", "listing.json"]
    assert kaggle.requests == []


def test_another_wish_fetches_the_bundle_again_and_takes_all_of_it_from_there(
    kaggle: Kaggle, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    folder = tmp_path / "cache"
    bundle.fill(data_set(kaggle, folder), order(raw, "a.csv"))
    mended = zip_of(tmp_path / "mended.zip", MEMBERS | {"a.csv": b"a\n2\n"})
    kaggle.files["/all.zip"] = mended.read_bytes()
    assert bundle.fill(data_set(kaggle, folder), order(raw, "faces", "a.csv"))
    assert len(kaggle.requests) == 2
    assert (folder / "a.csv").read_bytes() == b"a\n2\n"
    assert files(folder) == ["a.csv", "faces.zip", "listing.json"]


def test_a_table_that_comes_plain_after_it_came_packed(kaggle: Kaggle, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    (folder / "a.csv.zip").parent.mkdir()
    zip_of(folder / "a.csv.zip", {"a.csv": b"of another day"})
    assert bundle.fill(data_set(kaggle, folder), order(tmp_path / "raw", "a.csv")) == ["a.csv"]
    assert bundle.fill(data_set(kaggle, folder), order(tmp_path / "raw", "a.csv")) == ["a.csv"]
    assert (folder / "a.csv").read_bytes() == MEMBERS["a.csv"]


def test_what_a_version_lacks_is_not_looked_for_again(kaggle: Kaggle, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for _ in range(2):
        with pytest.raises(MissingFileError, match="b is missing"):
            bundle.fill(data_set(kaggle, folder), order(tmp_path / "raw", "b"))
    assert files(folder) == ["bundle.zip", "listing.json"]
    assert len(kaggle.requests) == 1
    assert bundle.fill(data_set(kaggle, folder), order(tmp_path / "raw", "a.csv"))
    assert len(kaggle.requests) == 1


def test_an_unsafe_bundle_is_refused_and_kept(kaggle: Kaggle, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    body = zip_of(tmp_path / "bad.zip", MEMBERS | {"../../x.csv": b"x"}).read_bytes()
    kaggle.files["/all.zip"] = body
    for _ in range(2):
        with pytest.raises(DataError, match="a path that may lead out of its archive") as caught:
            bundle.fill(data_set(kaggle, folder), order(tmp_path / "raw", "a.csv"))
        assert str(caught.value).count("to do: ") == 1
        assert f"to do: delete {folder / 'bundle.zip'}, and run it again: " in str(caught.value)
    assert files(folder) == ["bundle.zip"]
    assert (folder / "bundle.zip").read_bytes() == body
    assert len(kaggle.requests) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"text, and no more", "not the archive that its name says"),
        (b"PK\x05\x06" + bytes(18), "holds no files"),
        (None, "the file is empty"),
    ],
)
def test_a_bundle_that_is_of_no_use_may_be_fetched_anew(
    kaggle: Kaggle, tmp_path: Path, body: bytes | None, words: str
) -> None:
    folder, wish = tmp_path / "cache", order(tmp_path / "raw", "a.csv")
    right = kaggle.files["/all.zip"]
    empty = zip_of(tmp_path / "bad.zip", MEMBERS | {"a.csv": b""}).read_bytes()
    kaggle.files["/all.zip"] = empty if body is None else body
    for _ in range(2):
        with pytest.raises(DataError, match=words) as caught:
            bundle.fill(data_set(kaggle, folder), wish)
        assert f"to do: delete {folder / 'bundle.zip'}, and run it again: " in str(caught.value)
    assert len(kaggle.requests) == 1
    (folder / "bundle.zip").unlink()
    kaggle.files["/all.zip"] = right
    assert bundle.fill(data_set(kaggle, folder), wish) == ["a.csv"]


def test_a_folder_in_the_way_is_told_before_anything_is_fetched(
    kaggle: Kaggle, tmp_path: Path
) -> None:
    place = tmp_path / "cache/bundle.zip"
    place.mkdir(parents=True)
    with pytest.raises(DataError, match="a folder lies where a file is to be saved") as caught:
        bundle.fill(data_set(kaggle, place.parent), order(tmp_path / "raw", "a.csv"))
    assert f"{place}: " in str(caught.value)
    assert kaggle.requests == []


@pytest.mark.parametrize("size", [-15, 10**30, True])
def test_a_size_that_no_file_has_counts_as_not_told(
    kaggle: Kaggle, tmp_path: Path, size: int
) -> None:
    assert bundle.fill(data_set(kaggle, tmp_path, size), order(tmp_path / "raw", "a.csv"))
    assert [request.range_start for request in kaggle.requests] == [0, None]


def test_what_does_not_fit_is_refused_before_a_body_is_asked_for(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 8 * 10**9)
    with pytest.raises(ResourceError) as caught:
        bundle.fill(
            data_set(kaggle, tmp_path / "cache", 3 * 10**9), order(tmp_path / "raw", "a.csv")
        )
    assert (
        "found: 8.0 GB free\n  expected: 9.0 GB: 3.0 GB to fetch, 3.0 GB to take it apart, "
        "3.0 GB for the project's copy\n  to do: free 1.0 GB" in str(caught.value)
    )
    assert kaggle.requests == []


def test_a_split_that_does_not_fit_keeps_the_bundle(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, wish = tmp_path / "cache", order(tmp_path / "raw", "faces")
    with monkeypatch.context() as patch:
        patch.setattr(
            disk_space, "free_bytes", lambda _: 3500
        )  # more than was told, less than it takes
        with pytest.raises(ResourceError, match="to take it apart"):
            bundle.fill(data_set(kaggle, folder, 100), wish)
    assert "bundle.zip" in files(folder)
    assert "faces.zip" not in files(folder)
    assert bundle.fill(data_set(kaggle, folder), wish) == ["faces.zip"]
    assert len(kaggle.requests) == 1


def test_a_server_that_fails_costs_nothing(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.always("storage", Status(503))
    with pytest.raises(RemoteError, match="gave up after 3 failures"):
        bundle.fill(data_set(kaggle, tmp_path), order(tmp_path / "raw", "a.csv"))
    kaggle.always("storage")
    assert bundle.fill(data_set(kaggle, tmp_path), order(tmp_path / "raw", "a.csv"))
