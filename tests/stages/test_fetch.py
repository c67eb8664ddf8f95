"""fetch from Kaggle: through its real clients and a server on loopback, by the command line."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.cli import main
from darkroom.remote import room
from tests.loopback import Competition, Dataset, Kaggle
from tests.packed import zip_of
from tests.stages import tiny

CARVANA = "carvana-image-masking-challenge"
CELEBA = "jessicali9530/celeba-dataset"
FACES = "img_align_celeba"


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    with Kaggle() as server:
        server.lead(monkeypatch)
        monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
        yield server


def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, **data: object) -> Path:
    """Make a project whose raw files are to come from Kaggle; they lie in `source`."""
    root = tiny.imitation(tmp_path / "project", format)
    change = {"source": "kaggle", **data}
    tiny.edit(root, lambda params: params[tiny.NAME]["data"].update(change))
    monkeypatch.chdir(root)
    return root


def bodies(source: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(source.iterdir())}


def fetch() -> int:
    return main(["fetch", tiny.NAME])


def asked(kaggle: Kaggle) -> list[str]:
    """Return the names of the bodies that were asked for."""
    return [request.path.rsplit("/", 1)[-1] for request in kaggle.of("storage")]


@pytest.fixture
def carvana(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Kaggle, dict[str, bytes]]:
    """Return a server that has Carvana in both qualities, and the files of the normal one."""
    root = project(tmp_path, monkeypatch, "carvana")
    normal = bodies(root / "source")
    hq = {name.replace(".zip", "_hq.zip"): normal[name] for name in ("train.zip", "test.zip")}
    others = {"metadata.csv": b"id\n", "29bb3ece3180_11.jpg": b"a picture"}
    kaggle.competitions[CARVANA] = Competition(files=normal | hq | others)
    return kaggle, normal


def test_carvana_comes_from_kaggle_once(
    carvana: tuple[Kaggle, dict[str, bytes]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kaggle, normal = carvana
    assert fetch() == 0
    raw = Path("data/raw") / tiny.NAME
    megabytes = sum(map(len, normal.values())) / 1e6
    assert {name: (raw / name).read_bytes() for name in normal} == normal
    listed = json.loads((raw / "manifest.json").read_text())["files"]
    assert [entry["name"] for entry in listed] == sorted(normal)
    assert asked(kaggle) == ["test.zip", "train.zip", "train_masks.zip"]
    told = capfd.readouterr()
    assert told.out == f"tiny: 3 raw files, {megabytes:.1f} MB, from kaggle\n"
    folder = tmp_path / "cache/competitions" / CARVANA
    assert f"to fetch from https://www.kaggle.com/competitions/{CARVANA}: " in told.err
    assert f"into {folder}: 0 bytes here, " in told.err
    assert (raw / "train.zip").samefile(folder / "train.zip")

    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests == []
    assert f"everything is here already, in {folder}" in capfd.readouterr().err
    tiny.run("index", "split")


def test_the_other_quality_fetches_only_what_is_not_here(
    carvana: tuple[Kaggle, dict[str, bytes]],
) -> None:
    kaggle, _ = carvana
    assert fetch() == 0
    kaggle.requests.clear()
    tiny.edit(Path(), lambda params: params[tiny.NAME]["data"].update(quality="hq"))
    assert fetch() == 0
    assert asked(kaggle) == ["test_hq.zip", "train_hq.zip"]
    assert kaggle.of("ListDataFiles") == []
    tiny.run("index")


def test_hq_alone(carvana: tuple[Kaggle, dict[str, bytes]]) -> None:
    kaggle, _ = carvana
    tiny.edit(Path(), lambda params: params[tiny.NAME]["data"].update(quality="hq"))
    assert fetch() == 0
    assert asked(kaggle) == ["test_hq.zip", "train_hq.zip", "train_masks.zip"]


def test_a_table_that_kaggle_packs_is_taken_packed(
    carvana: tuple[Kaggle, dict[str, bytes]],
) -> None:
    kaggle, _ = carvana
    rows = [f"{'f' * 12}_{view:02}.jpg,\n" for view in range(16, 0, -1)]
    table = ("img,rle_mask\n" + "".join(rows)).encode()
    kaggle.competitions[CARVANA].files["sample_submission.csv"] = table
    kaggle.competitions[CARVANA].packed.add("sample_submission.csv")
    assert fetch() == 0
    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests == []
    assert (Path("data/raw") / tiny.NAME / "sample_submission.csv.zip").exists()
    tiny.run("index")


def test_room_that_lacks_is_told_before_a_body_is_asked_for(
    carvana: tuple[Kaggle, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kaggle, normal = carvana
    monkeypatch.setattr(room, "free", lambda _: 1000)
    assert fetch() == 5
    told = capfd.readouterr().err
    total = room.shown(sum(map(len, normal.values())))
    assert "no room on the disk for what is to be fetched\n  found: 1.0 kB free" in told
    assert f"{total} to fetch, {total} for the project's copy" in told
    assert "to do: free " in told
    assert {request.kind for request in kaggle.requests} == {"ListDataFiles"}
    assert tiny.leftovers(Path()) == []


def test_a_file_that_the_competition_lacks_is_named(
    carvana: tuple[Kaggle, dict[str, bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    kaggle, _ = carvana
    del kaggle.competitions[CARVANA].files["train_masks.zip"]
    assert fetch() == 4
    assert (
        f"darkroom fetch tiny: https://www.kaggle.com/competitions/{CARVANA}: "
        "train_masks.zip is needed, and is not there\n  found: 29bb3ece3180_11.jpg, metadata.csv, "
        "test.zip, test_hq.zip, train.zip, train_hq.zip\n  expected: train_masks.zip or "
        in capfd.readouterr().err
    )
    assert asked(kaggle) == []
    assert not Path("data/raw", tiny.NAME).exists()


def test_what_stood_before_stays_when_kaggle_refuses(
    carvana: tuple[Kaggle, dict[str, bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    kaggle, _ = carvana
    assert fetch() == 0
    before = tiny.tree(Path())
    kaggle.competitions[CARVANA].rules_accepted = False
    tiny.edit(Path(), lambda params: params[tiny.NAME]["data"].update(quality="hq"))
    assert fetch() == 4
    assert f"competitions/{CARVANA}/rules" in capfd.readouterr().err
    assert tiny.tree(Path()) == before


def mirror(source: Path) -> bytes:
    """Return the bundle that Kaggle's mirror of CelebA is: a folder in a folder, and CSVs."""
    with zipfile.ZipFile(source / f"{FACES}.zip") as archive:
        faces = {f"{FACES}/{name}": archive.read(name) for name in archive.namelist()}
    _, heads, *rows = (source / "list_attr_celeba.txt").read_text().split("\n")
    attributes = [["image_id", *heads.split()], *(row.split() for row in rows if row)]
    parts = [line.split() for line in (source / "list_eval_partition.txt").read_text().split("\n")]
    tables = {
        "list_attr_celeba.csv": attributes,
        "list_bbox_celeba.csv": [["image_id", "x_1"]],
        "list_eval_partition.csv": [
            ["image_id", "partition"],
            *(cells for cells in parts if cells),
        ],
    }
    texts = {name: "".join(",".join(c) + "\n" for c in cells) for name, cells in tables.items()}
    packed = zip_of(source / "all.zip", faces | {n: text.encode() for n, text in texts.items()})
    return packed.read_bytes()


def test_the_mirror_of_celeba_comes_as_a_bundle_and_is_taken_apart(
    kaggle: Kaggle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kaggle.lead(monkeypatch, token=None)  # it is public
    root = project(tmp_path, monkeypatch, "celeba")
    kaggle.datasets[CELEBA] = Dataset(version=2, bundle=mirror(root / "source"))
    assert fetch() == 0
    told = capfd.readouterr()
    assert told.out == "tiny: 3 raw files, 0.0 MB, from kaggle\n"
    assert f"to fetch from https://www.kaggle.com/datasets/{CELEBA}/versions/2: " in told.err
    raw = Path("data/raw") / tiny.NAME
    wanted = ["img_align_celeba.zip", "list_attr_celeba.csv", "list_eval_partition.csv"]
    assert sorted(path.name for path in raw.iterdir()) == [*wanted, "manifest.json"]
    assert len(kaggle.of("storage")) == 1
    folder = tmp_path / "cache/datasets" / CELEBA / "2"
    assert sorted(path.name for path in folder.iterdir()) == [*wanted, "listing.json"]
    tiny.run("index")

    kaggle.requests.clear()
    kaggle.datasets[CELEBA] = Dataset(version=3, bundle=b"another")
    assert fetch() == 0
    assert kaggle.requests == []


def test_a_version_is_pinned_when_it_has_come_whole_and_not_before(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path, monkeypatch, "celeba")
    newest = tmp_path / "cache/datasets" / CELEBA / "newest.json"
    kaggle.datasets[CELEBA] = Dataset(version=2, bundle=b"no zip at all")
    assert fetch() == 3
    assert not newest.exists()
    kaggle.datasets[CELEBA] = Dataset(version=3, bundle=mirror(root / "source"))
    assert fetch() == 0
    assert json.loads(newest.read_text()) == {"version": 3}


def test_an_older_version_may_be_named(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path, monkeypatch, "celeba", kaggle=f"{CELEBA}/versions/1")
    older = {1: mirror(root / "source")}
    kaggle.datasets[CELEBA] = Dataset(version=2, bundle=b"another", older=older)
    assert fetch() == 0
    assert (tmp_path / "cache/datasets" / CELEBA / "1/listing.json").exists()
    tiny.run("index")
    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests == []


def test_a_data_set_that_is_another_is_told_with_what_it_holds(
    kaggle: Kaggle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    project(tmp_path, monkeypatch, "celeba", kaggle="me/faces")
    packed = zip_of(tmp_path / "x.zip", {"faces.csv": b"a\n", "list_attr_celeb.csv": b"a\n"})
    kaggle.datasets["me/faces"] = Dataset(bundle=packed.read_bytes())
    assert fetch() == 4
    told = capfd.readouterr().err
    assert "https://www.kaggle.com/datasets/me/faces/versions/1: list_attr_celeba.csv is " in told
    assert "found: faces.csv, list_attr_celeb.csv\n" in told
    assert "to do: is me/faces the right data set? data.kaggle names it; the nearest name" in told
    assert not Path("data/raw", tiny.NAME).exists()


def test_a_data_set_that_lies_deeper_is_told_where(
    kaggle: Kaggle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = project(tmp_path, monkeypatch, "celeba", kaggle="me/faces")
    with zipfile.ZipFile(io.BytesIO(mirror(root / "source"))) as archive:
        deeper = {f"celeba/{name}": archive.read(name) for name in archive.namelist()}
    body = zip_of(tmp_path / "x.zip", deeper).read_bytes()
    kaggle.datasets["me/faces"] = Dataset(bundle=body)
    assert fetch() == 3
    told = capfd.readouterr().err
    assert "list_attr_celeba.csv is missing here, but lies deeper" in told
    assert "found: bundle.zip/celeba/list_attr_celeba.csv" in told
    assert "to do: unpack bundle.zip, and set data.source to the folder that it fills" in told


@pytest.mark.parametrize(
    ("format", "words"),
    [
        ("csv", "say what in tiny.data.kaggle: a competition's name as in its address, or owner"),
        ("banknotes", "kaggle does not say what to fetch; set it to urls"),
    ],
)
def test_a_name_that_is_not_given_is_asked_for(
    kaggle: Kaggle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    format: str,
    words: str,
) -> None:
    if format == "csv":
        tiny.project(tmp_path / "project", "binary", data={"source": "kaggle"})
        monkeypatch.chdir(tmp_path / "project")
    else:
        project(tmp_path, monkeypatch, format)
    assert fetch() == 2
    assert words in capfd.readouterr().err
    assert kaggle.requests == []


def test_a_csv_data_set_names_the_zip_that_its_folder_becomes(
    kaggle: Kaggle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = tiny.project(
        tmp_path / "project", "binary", data={"source": "kaggle", "kaggle": "me/fruit"}
    )
    monkeypatch.chdir(root)
    members = {name: (root / "source" / name).read_bytes() for name in ("train.csv", "test.csv")}
    for part in ("train", "test"):
        with zipfile.ZipFile(root / "source" / f"{part}.zip") as archive:
            for name in archive.namelist():
                members[f"{part}/{name.rpartition('/')[2]}"] = archive.read(name)
    body = zip_of(tmp_path / "x.zip", members).read_bytes()
    kaggle.datasets["me/fruit"] = Dataset(bundle=body)
    data = {"test": {"image_path": "test/{}.png"}}
    tiny.edit(root, lambda params: params[tiny.NAME]["data"]["test"].update(data["test"]))
    assert fetch() == 3
    told = capfd.readouterr().err
    assert "write data.test.image_path: test.zip/{}.png or test.zip/test/{}.png" in told
    data["test"]["image_path"] = "test.zip/test/{}.png"
    tiny.edit(root, lambda params: params[tiny.NAME]["data"]["test"].update(data["test"]))
    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.of("storage") == []
    tiny.run("index")
    before = tiny.tree(root)
    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests == []
    assert tiny.tree(root) == before


def test_a_cache_among_the_raw_files_is_refused(
    carvana: tuple[Kaggle, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", f"data/raw/{tiny.NAME}/cache")
    assert fetch() == 2
    assert "the download cache lies in the folder of raw files" in capfd.readouterr().err
