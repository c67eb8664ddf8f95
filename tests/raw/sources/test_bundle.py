"""A bundle downloaded once and split: the right bytes, nothing unsafe, no partial file."""

import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import pytest

from darkroom.errors import DataError, RemoteError, ResourceError
from darkroom.index.assembly.build import build_index
from darkroom.params.data import Data
from darkroom.project.names import MissingFileError, pick_name
from darkroom.raw import limits
from darkroom.raw.archives import Archives
from darkroom.raw.sources import cache
from darkroom.raw.sources.bundle import Bundle, BundleArchive, fetch_bundle
from darkroom.raw.sources.plan import Selection
from darkroom.raw.sources.required import required_files
from darkroom.remote import disk_space, https
from darkroom.remote.retry import RetryPolicy
from tests.support import tiny
from tests.support.loopback import Kaggle, Status
from tests.support.packed import zip_of

IDS = [f"{n:06}.jpg" for n in range(1, 7)]
PARTS = ["0", "0", "2", "1", "0", "2"]
ATTRIBUTES = "image_id,Young,Male\n" + "".join(
    f"{name},{(-1, 1)[place % 2]},{(1, -1)[place % 3 > 0]}\n" for place, name in enumerate(IDS)
)
FACES = "img_align_celeba/img_align_celeba"
PARTITION = "image_id,partition\n" + "".join(
    f"{name},{part}\n" for name, part in zip(IDS, PARTS, strict=True)
)
CELEBA = {
    **{f"{FACES}/{name}": name.encode() * 100 for name in reversed(IDS)},
    "list_attr_celeba.csv": ATTRIBUTES.encode(),
    "list_bbox_celeba.csv": b"not needed\n",
    "list_eval_partition.csv": PARTITION.encode(),
    "__MACOSX/._x": b"junk",
    ".DS_Store": b"junk",
}
WANTED = ["img_align_celeba.zip", "list_attr_celeba.csv", "list_eval_partition.csv"]

MEMBERS = {"faces/a/1.jpg": b"one" * 500, "faces/a/2.jpg": b"two" * 500, "a.csv": b"a\n1\n"}
QUICK = RetryPolicy(tries=3, sleep=lambda _: None)


def split(path: Path, names: list[str], folder: Path) -> list[int]:
    ticks: list[int] = []
    with BundleArchive(path) as archive:
        archive.split(names, folder, ticks.append)
    return ticks


def squeezed(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_the_mirror_of_celeba_is_indexed_after_its_split(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "bundle.zip", CELEBA)
    with BundleArchive(path) as archive:
        offered = list(archive.sizes)
    assert sorted(offered) == sorted([*WANTED, "list_bbox_celeba.csv"])
    data = Data.model_validate(tiny.shipped("celeba") | {"source": "raw"})
    wanted = required_files(offered, data)
    assert wanted == WANTED
    raw = tmp_path / "raw"
    ticks = split(path, wanted, raw)
    assert file_names(raw) == WANTED
    index = build_index(Archives(raw, tmp_path / "spool"), data)
    assert sorted(index.rows["id"]) == IDS
    assert index.rows["image"].iloc[0] == f"img_align_celeba.zip/{FACES}/{IDS[0]}"
    archives = Archives(raw, tmp_path / "spool")
    for name in IDS:
        assert archives.read(f"img_align_celeba.zip/{FACES}/{name}") == name.encode() * 100
    assert (raw / "list_attr_celeba.csv").read_bytes() == CELEBA["list_attr_celeba.csv"]
    tables = [len(CELEBA[name]) for name in WANTED[1:]]
    assert sum(ticks) == sum(len(name) * 100 for name in IDS) + sum(tables)


def test_a_folders_zip_is_stored_in_order_and_depends_on_its_members_alone(tmp_path: Path) -> None:
    made = []
    for place, names in enumerate((list(CELEBA), sorted(CELEBA))):
        path = zip_of(tmp_path / f"{place}.zip", {name: CELEBA[name] for name in names})
        split(path, ["img_align_celeba.zip"], tmp_path / str(place))
        made.append(tmp_path / str(place) / "img_align_celeba.zip")
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == [f"{FACES}/{name}" for name in IDS]
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}


def test_sizes_are_those_of_files_and_close_above_those_of_folders(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "bundle.zip", CELEBA)
    with BundleArchive(path) as archive:
        sizes = archive.sizes
        archive.split(WANTED, tmp_path / "raw", int)
    real = {name: (tmp_path / "raw" / name).stat().st_size for name in WANTED}
    assert {name: sizes[name] for name in WANTED[1:]} == {name: real[name] for name in WANTED[1:]}
    packed = WANTED[0]
    assert real[packed] <= sizes[packed] <= real[packed] + 100 * (len(IDS) + 1)


def test_a_file_with_the_name_of_a_folders_zip_comes_first(tmp_path: Path) -> None:
    inner = zip_of(tmp_path / "inner.zip", {"1.jpg": b"packed"}).read_bytes()
    path = zip_of(tmp_path / "bundle.zip", {"train/1.jpg": b"bare", "train.zip": inner})
    split(path, ["train.zip"], tmp_path / "raw")
    assert (tmp_path / "raw" / "train.zip").read_bytes() == inner


def spoilt_crc(path: Path) -> None:
    squeezed(path, {"a.csv": b"a\n", "train/1.jpg": b"one" * 999, "train/2.jpg": b"two"})
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("train/1.jpg")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len("train/1.jpg") + info.compress_size // 2] ^= 0xFF
    path.write_bytes(data)


def declared(path: Path, size: int) -> None:
    """Let the directory declare another size of the second member than its 2,997 bytes."""
    squeezed(path, {"a.csv": b"a\n", "train/1.jpg": b"one" * 999})
    data, entry = path.read_bytes(), b"PK\x01\x02"
    place = data.index(entry, data.index(entry) + 1) + 24
    path.write_bytes(data[:place] + size.to_bytes(4, "little") + data[place + 4 :])


def smaller_than_it_is(path: Path) -> None:
    declared(path, 3)


def larger_than_it_is(path: Path) -> None:
    declared(path, 5000)


@pytest.mark.parametrize("spoil", [spoilt_crc, smaller_than_it_is, larger_than_it_is])
def test_a_damaged_member_is_refused_and_nothing_is_lost(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    path, raw = tmp_path / "bundle.zip", tmp_path / "raw"
    spoil(path)
    before = path.read_bytes()
    raw.mkdir()
    (raw / "train.zip").write_bytes(b"an earlier one")
    with pytest.raises(DataError, match=r"train/1\.jpg: a damaged member\n  found: ") as caught:
        split(path, ["a.csv", "train.zip"], raw)
    assert f"to do: delete {path}, and run it again: it is then downloaded again" in str(
        caught.value
    )
    assert path.read_bytes() == before
    assert file_names(raw) == ["a.csv", "train.zip"]
    assert (raw / "train.zip").read_bytes() == b"an earlier one"
    assert (raw / "a.csv").read_bytes() == b"a\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../x.csv", "a path with ..: '../x.csv'"),
        ("/etc/x.csv", "an absolute path: '/etc/x.csv'"),
        ("train\\..\\..\\x.csv", "a path with a backslash"),
        ("C:x.csv", "a path with a drive letter"),
    ],
)
def test_an_unsafe_name_is_refused_even_where_it_is_not_wanted(
    tmp_path: Path, name: str, words: str
) -> None:
    path = zip_of(tmp_path / "bundle.zip", {"a.csv": b"a\n", name: b"x"})
    with pytest.raises(DataError, match="a path that may lead out of its archive") as caught:
        BundleArchive(path)
    assert words in str(caught.value)
    assert file_names(tmp_path) == ["bundle.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "bundle.zip", [("a.csv", b"one"), ("a.csv", b"two")])
    with pytest.raises(DataError, match=r"a\.csv: two members of this name"):
        BundleArchive(path)


def test_a_bundle_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(b"<!DOCTYPE html><html>quota</html>")
    with pytest.raises(DataError, match="found: an HTML page"):
        BundleArchive(tmp_path / "bundle.zip")


def test_a_bomb_is_refused_before_a_byte_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_SMALL_BYTES", 2**10)  # a smaller bomb
    monkeypatch.setattr(limits, "MAX_UNPACKED_RATIO", 200)
    path = squeezed(tmp_path / "bundle.zip", {"a.csv": b"a\n", "t/1.png": bytes(201 * 2**10)})
    assert path.stat().st_size < 2**10
    with pytest.raises(DataError, match="unpacks to more than any set of images") as caught:
        split(path, ["t.zip"], tmp_path / "raw")
    assert re.search("found: 20[56],[0-9]{3} bytes from [0-9]{3};", str(caught.value))
    assert "expected: at most 204,800 bytes" in str(caught.value)
    assert not (tmp_path / "raw").exists()


@pytest.fixture
def kaggle(tmp_path: Path) -> Iterator[Kaggle]:
    with Kaggle() as server:
        server.files["/all.zip"] = zip_of(tmp_path / "made.zip", MEMBERS).read_bytes()
        yield server
        assert server.unused_faults() == []


def data_set(kaggle: Kaggle, folder: Path, size: int | None = 3004) -> Bundle:
    url = kaggle.url("/all.zip")
    return Bundle("there", folder, lambda: size, https.opener(url))


def select(raw: Path, *stems: str) -> Selection:
    def choose(names: Collection[str]) -> list[str]:
        return [pick_name(names, stem) for stem in stems]

    return Selection(choose, raw, QUICK)


def test_the_bundle_is_fetched_once_and_removed_after_the_split(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, selection = tmp_path / "cache", select(tmp_path / "raw", "faces", "a.csv")
    assert fetch_bundle(data_set(kaggle, folder), selection) == ["faces.zip", "a.csv"]
    assert file_names(folder) == ["a.csv", "faces.zip", "listing.json"]
    assert (folder / "a.csv").read_bytes() == MEMBERS["a.csv"]
    assert len(kaggle.requests) == 1
    assert "to fetch from there: 3.0 kB\n  bundle.zip  3.0 kB\n" in capfd.readouterr().err
    assert fetch_bundle(data_set(kaggle, folder), selection) == ["faces.zip", "a.csv"]
    assert len(kaggle.requests) == 1
    assert capfd.readouterr().err == f"there: everything is already downloaded, in {folder}\n"


def test_an_unknown_size_is_requested_first(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fetch_bundle(data_set(kaggle, tmp_path, None), select(tmp_path / "raw", "a.csv"))
    assert [request.range_start for request in kaggle.requests] == [0, None]
    size = len(kaggle.files["/all.zip"])
    assert f"bundle.zip  {disk_space.format_bytes(size)}\n" in capfd.readouterr().err


def test_a_run_killed_after_the_split_is_resumed_without_a_request(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, selection = tmp_path / "cache", select(tmp_path / "raw", "faces", "a.csv")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "record_file", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch_bundle(data_set(kaggle, folder), selection)
    assert file_names(folder) == ["a.csv", "bundle.zip", "faces.zip", "listing.json"]
    (folder / "a.csv").unlink()
    (folder / "a.csv.part").write_bytes(b"half")
    kaggle.requests.clear()
    assert fetch_bundle(data_set(kaggle, folder), selection) == ["faces.zip", "a.csv"]
    assert file_names(folder) == ["a.csv", "faces.zip", "listing.json"]
    assert kaggle.requests == []


def test_another_selection_takes_all_its_files_from_a_new_bundle(
    kaggle: Kaggle, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    folder = tmp_path / "cache"
    fetch_bundle(data_set(kaggle, folder), select(raw, "a.csv"))
    mended = zip_of(tmp_path / "mended.zip", MEMBERS | {"a.csv": b"a\n2\n"})
    kaggle.files["/all.zip"] = mended.read_bytes()
    assert fetch_bundle(data_set(kaggle, folder), select(raw, "faces", "a.csv"))
    assert len(kaggle.requests) == 2
    assert (folder / "a.csv").read_bytes() == b"a\n2\n"
    assert file_names(folder) == ["a.csv", "faces.zip", "listing.json"]


def test_a_table_unpacked_now_and_packed_before(kaggle: Kaggle, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    (folder / "a.csv.zip").parent.mkdir()
    zip_of(folder / "a.csv.zip", {"a.csv": b"of another day"})
    assert fetch_bundle(data_set(kaggle, folder), select(tmp_path / "raw", "a.csv")) == ["a.csv"]
    assert fetch_bundle(data_set(kaggle, folder), select(tmp_path / "raw", "a.csv")) == ["a.csv"]
    assert (folder / "a.csv").read_bytes() == MEMBERS["a.csv"]


def test_a_file_that_the_bundle_lacks_is_not_requested_again(
    kaggle: Kaggle, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    for _ in range(2):
        with pytest.raises(MissingFileError, match="b is missing"):
            fetch_bundle(data_set(kaggle, folder), select(tmp_path / "raw", "b"))
    assert file_names(folder) == ["bundle.zip", "listing.json"]
    assert len(kaggle.requests) == 1
    assert fetch_bundle(data_set(kaggle, folder), select(tmp_path / "raw", "a.csv"))
    assert len(kaggle.requests) == 1


def test_an_unsafe_bundle_is_refused_and_kept(kaggle: Kaggle, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    body = zip_of(tmp_path / "bad.zip", MEMBERS | {"../../x.csv": b"x"}).read_bytes()
    kaggle.files["/all.zip"] = body
    for _ in range(2):
        with pytest.raises(DataError, match="a path that may lead out of its archive") as caught:
            fetch_bundle(data_set(kaggle, folder), select(tmp_path / "raw", "a.csv"))
        assert str(caught.value).count("to do: ") == 1
        assert f"to do: delete {folder / 'bundle.zip'}, and run it again: " in str(caught.value)
    assert file_names(folder) == ["bundle.zip"]
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
def test_a_useless_bundle_may_be_fetched_again(
    kaggle: Kaggle, tmp_path: Path, body: bytes | None, words: str
) -> None:
    folder, selection = tmp_path / "cache", select(tmp_path / "raw", "a.csv")
    right = kaggle.files["/all.zip"]
    empty = zip_of(tmp_path / "bad.zip", MEMBERS | {"a.csv": b""}).read_bytes()
    kaggle.files["/all.zip"] = empty if body is None else body
    for _ in range(2):
        with pytest.raises(DataError, match=words) as caught:
            fetch_bundle(data_set(kaggle, folder), selection)
        assert f"to do: delete {folder / 'bundle.zip'}, and run it again: " in str(caught.value)
    assert len(kaggle.requests) == 1
    (folder / "bundle.zip").unlink()
    kaggle.files["/all.zip"] = right
    assert fetch_bundle(data_set(kaggle, folder), selection) == ["a.csv"]


def test_a_folder_in_the_place_of_a_file_is_refused_before_a_request(
    kaggle: Kaggle, tmp_path: Path
) -> None:
    place = tmp_path / "cache/bundle.zip"
    place.mkdir(parents=True)
    with pytest.raises(DataError, match="a folder is where a file must be saved") as caught:
        fetch_bundle(data_set(kaggle, place.parent), select(tmp_path / "raw", "a.csv"))
    assert f"{place}: " in str(caught.value)
    assert kaggle.requests == []


@pytest.mark.parametrize("size", [-15, 10**30, True])
def test_an_implausible_size_counts_as_unknown(kaggle: Kaggle, tmp_path: Path, size: int) -> None:
    assert fetch_bundle(data_set(kaggle, tmp_path, size), select(tmp_path / "raw", "a.csv"))
    assert [request.range_start for request in kaggle.requests] == [0, None]


def test_what_does_not_fit_is_refused_before_a_download(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 8 * 10**9)
    with pytest.raises(ResourceError) as caught:
        fetch_bundle(
            data_set(kaggle, tmp_path / "cache", 3 * 10**9), select(tmp_path / "raw", "a.csv")
        )
    assert (
        "found: 8.0 GB free\n  expected: 12.0 GB: 3.0 GB to fetch, 3.0 GB to take it apart, "
        "6.0 GB for the project's copy\n  to do: free 4.0 GB" in str(caught.value)
    )
    assert kaggle.requests == []


def test_a_split_that_does_not_fit_keeps_the_bundle(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, selection = tmp_path / "cache", select(tmp_path / "raw", "faces")
    with monkeypatch.context() as patch:
        patch.setattr(
            disk_space, "free_bytes", lambda _: 3500
        )  # more than the stated size, less than needed
        with pytest.raises(ResourceError, match="to take it apart"):
            fetch_bundle(data_set(kaggle, folder, 100), selection)
    assert "bundle.zip" in file_names(folder)
    assert "faces.zip" not in file_names(folder)
    assert fetch_bundle(data_set(kaggle, folder), selection) == ["faces.zip"]
    assert len(kaggle.requests) == 1


def test_a_failing_server_loses_nothing(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.always("storage", Status(503))
    with pytest.raises(RemoteError, match="gave up after 3 failures"):
        fetch_bundle(data_set(kaggle, tmp_path), select(tmp_path / "raw", "a.csv"))
    kaggle.always("storage")
    assert fetch_bundle(data_set(kaggle, tmp_path), select(tmp_path / "raw", "a.csv"))
