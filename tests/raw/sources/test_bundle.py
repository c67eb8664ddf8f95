"""A data set's bundle taken apart: the right bytes, nothing unsafe, nothing half done, kept."""

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from darkroom.errors import DataError
from darkroom.index.formats import celeba
from darkroom.raw.archives import Archives
from darkroom.raw.sources.bundle import Bundle
from tests.index.formats.test_celeba import IDS, PARTS, mirror
from tests.support.packed import zip_of

FACES = "img_align_celeba/img_align_celeba"
PARTITION = "image_id,partition\n" + "".join(
    f"{name},{part}\n" for name, part in zip(IDS, PARTS, strict=True)
)
MEMBERS = {
    **{f"{FACES}/{name}": name.encode() * 100 for name in reversed(IDS)},
    "list_attr_celeba.csv": mirror().encode(),
    "list_bbox_celeba.csv": b"not needed\n",
    "list_eval_partition.csv": PARTITION.encode(),
    "__MACOSX/._x": b"junk",
    ".DS_Store": b"junk",
}
WANTED = ["img_align_celeba.zip", "list_attr_celeba.csv", "list_eval_partition.csv"]


def split(path: Path, names: list[str], folder: Path) -> list[int]:
    ticks: list[int] = []
    with Bundle(path) as bundle:
        bundle.split(names, folder, ticks.append)
    return ticks


def squeezed(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_the_mirror_of_celeba_is_indexed_after_its_split(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "bundle.zip", MEMBERS)
    with Bundle(path) as bundle:
        offered = list(bundle.sizes)
    assert sorted(offered) == sorted([*WANTED, "list_bbox_celeba.csv"])
    wanted = celeba.ADAPTER.required_files(offered, celeba.Options())
    assert wanted == WANTED
    raw = tmp_path / "raw"
    ticks = split(path, wanted, raw)
    assert names(raw) == WANTED
    index = celeba.ADAPTER.build_index(Archives(raw, tmp_path / "spool"), celeba.Options())
    assert sorted(index.rows["id"]) == IDS
    assert index.rows["image"].iloc[0] == f"img_align_celeba.zip/{FACES}/{IDS[0]}"
    archives = Archives(raw, tmp_path / "spool")
    for name in IDS:
        assert archives.read(f"img_align_celeba.zip/{FACES}/{name}") == name.encode() * 100
    assert (raw / "list_attr_celeba.csv").read_bytes() == MEMBERS["list_attr_celeba.csv"]
    tables = [len(MEMBERS[name]) for name in WANTED[1:]]
    assert sum(ticks) == sum(len(name) * 100 for name in IDS) + sum(tables)


def test_a_folders_zip_is_stored_in_order_and_depends_on_its_members_alone(tmp_path: Path) -> None:
    made = []
    for place, order in enumerate((list(MEMBERS), sorted(MEMBERS))):
        path = zip_of(tmp_path / f"{place}.zip", {name: MEMBERS[name] for name in order})
        split(path, ["img_align_celeba.zip"], tmp_path / str(place))
        made.append(tmp_path / str(place) / "img_align_celeba.zip")
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == [f"{FACES}/{name}" for name in IDS]
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}


def test_sizes_are_those_of_files_and_close_above_those_of_folders(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "bundle.zip", MEMBERS)
    with Bundle(path) as bundle:
        sizes = bundle.sizes
        bundle.split(WANTED, tmp_path / "raw", int)
    real = {name: (tmp_path / "raw" / name).stat().st_size for name in WANTED}
    assert {name: sizes[name] for name in WANTED[1:]} == {name: real[name] for name in WANTED[1:]}
    packed = WANTED[0]
    assert real[packed] <= sizes[packed] <= real[packed] + 100 * (len(IDS) + 1)


def test_a_folder_gives_way_to_a_file_called_as_its_zip_would_be(tmp_path: Path) -> None:
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
    assert f"to do: delete {path}, and run it again: it is fetched anew" in str(caught.value)
    assert path.read_bytes() == before
    assert names(raw) == ["a.csv", "train.zip"]
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
        Bundle(path)
    assert words in str(caught.value)
    assert names(tmp_path) == ["bundle.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "bundle.zip", [("a.csv", b"one"), ("a.csv", b"two")])
    with pytest.raises(DataError, match=r"a\.csv: two members of this name"):
        Bundle(path)


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(b"<!DOCTYPE html><html>quota</html>")
    with pytest.raises(DataError, match="found: an HTML page"):
        Bundle(tmp_path / "bundle.zip")


def test_a_bomb_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    zeros = bytes(2**20)
    pages = {f"t/{number}.png": zeros for number in range(201)}
    path = squeezed(tmp_path / "bundle.zip", {"a.csv": b"a\n", **pages})
    assert path.stat().st_size < 2**20
    with pytest.raises(DataError, match="unpacks to more than any set of images") as caught:
        split(path, ["t.zip"], tmp_path / "raw")
    assert re.search("found: 210,7[0-9]{2},[0-9]{3} bytes from [0-9]{3},", str(caught.value))
    assert "expected: at most 200 times its own size" in str(caught.value)
    assert not (tmp_path / "raw").exists()
    split(path, ["a.csv"], tmp_path / "raw")  # the bomb itself is left alone
    assert names(tmp_path / "raw") == ["a.csv"]
