"""fetch from a data set of Kaggle: through its real clients and a server on loopback."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.stages.fetch.rig import fetch, files_in_folders, paths, project
from tests.support import tiny
from tests.support.loopback import Dataset, Kaggle
from tests.support.packed import zip_of

CELEBA = "jessicali9530/celeba-dataset"
FACES = "img_align_celeba"


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
    monkeypatch.delenv("KAGGLE_API_TOKEN")  # it is public
    kaggle.datasets[CELEBA] = Dataset(version=2, bundle=mirror(project("celeba")))
    assert fetch() == 0
    output = capfd.readouterr()
    assert output.out == "tiny: 3 raw files, 0.0 MB, from kaggle\n"
    assert f"to fetch from https://www.kaggle.com/datasets/{CELEBA}/versions/2: " in output.err
    raw = Path("data/raw") / tiny.NAME
    wanted = ["img_align_celeba.zip", "list_attr_celeba.csv", "list_eval_partition.csv"]
    assert sorted(path.name for path in raw.iterdir()) == [*wanted, "manifest.json"]
    assert len(kaggle.requests_of("storage")) == 1
    folder = tmp_path / "cache/datasets" / CELEBA / "2"
    assert sorted(path.name for path in folder.iterdir()) == [*wanted, "listing.json"]
    tiny.run("index")

    kaggle.requests.clear()
    kaggle.datasets[CELEBA] = Dataset(version=3, bundle=b"another")
    assert fetch() == 0
    assert kaggle.requests == []


def test_a_version_is_pinned_when_it_has_come_whole_and_not_before(
    kaggle: Kaggle, tmp_path: Path
) -> None:
    source = project("celeba")
    newest = tmp_path / "cache/datasets" / CELEBA / "newest.json"
    kaggle.datasets[CELEBA] = Dataset(version=2, bundle=b"no zip at all")
    assert fetch() == 3
    assert not newest.exists()
    kaggle.datasets[CELEBA] = Dataset(version=3, bundle=mirror(source))
    assert fetch() == 0
    assert json.loads(newest.read_text()) == {"version": 3}


def test_an_older_version_may_be_named(kaggle: Kaggle, tmp_path: Path) -> None:
    older = {1: mirror(project("celeba", kaggle=f"{CELEBA}/versions/1"))}
    kaggle.datasets[CELEBA] = Dataset(version=2, bundle=b"another", older=older)
    assert fetch() == 0
    assert (tmp_path / "cache/datasets" / CELEBA / "1/listing.json").exists()
    tiny.run("index")
    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests == []


def test_a_wrong_data_set_is_refused_with_its_files(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project("celeba", kaggle="me/faces")
    packed = zip_of(tmp_path / "x.zip", {"faces.csv": b"a\n", "list_attr_celeb.csv": b"a\n"})
    kaggle.datasets["me/faces"] = Dataset(bundle=packed.read_bytes())
    assert fetch() == 4
    output = capfd.readouterr().err
    assert "https://www.kaggle.com/datasets/me/faces/versions/1: list_attr_celeba.csv is " in output
    assert "found: faces.csv, list_attr_celeb.csv\n" in output
    assert "to do: is me/faces the right data set? data.kaggle names it; the nearest name" in output
    assert not Path("data/raw", tiny.NAME).exists()


def test_a_data_set_inside_a_folder_is_named(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = mirror(project("celeba", kaggle="me/faces"))
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        deeper = {f"celeba/{name}": archive.read(name) for name in archive.namelist()}
    body = zip_of(tmp_path / "x.zip", deeper).read_bytes()
    kaggle.datasets["me/faces"] = Dataset(bundle=body)
    assert fetch() == 3
    output = capfd.readouterr().err
    assert "list_attr_celeba.csv is missing here, but lies deeper" in output
    assert "found: bundle.zip/celeba/list_attr_celeba.csv" in output
    assert "to do: unpack bundle.zip, and set data.source to the folder that it fills" in output


@pytest.mark.parametrize(
    ("format", "words"),
    [
        ("table", "set tiny.data.kaggle: a competition's name as in its address, or owner"),
        ("banknotes", "found kaggle, but not what to fetch; set the source to urls"),
    ],
)
def test_a_missing_name_is_reported(
    kaggle: Kaggle, capfd: pytest.CaptureFixture[str], format: str, words: str
) -> None:
    project(format)
    assert fetch() == 2
    assert words in capfd.readouterr().err
    assert kaggle.requests == []


def test_the_zip_that_a_folder_of_a_data_set_becomes_is_found(
    kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    members = files_in_folders(project("table", kaggle="me/fruit"))
    body = zip_of(tmp_path / "x.zip", members).read_bytes()
    kaggle.datasets["me/fruit"] = Dataset(bundle=body)
    paths(train="trains/{image}.png")
    assert fetch() == 4
    assert "trains.zip is needed, and is not there" in capfd.readouterr().err
    paths(train="train/{image}.png", test="test/{0}.png")
    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests_of("storage") == []
    tiny.run("index")
    before = tiny.tree(Path())
    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests == []
    assert tiny.tree(Path()) == before
