"""fetch from a competition of Kaggle: through its real clients and a server on loopback."""

import json
from pathlib import Path

import pytest

from darkroom.remote import disk_space
from tests.stages.fetch.rig import fetch, file_bodies, project, requested_names
from tests.support import tiny
from tests.support.loopback import Competition, Kaggle

CARVANA = "carvana-image-masking-challenge"


@pytest.fixture
def carvana(kaggle: Kaggle) -> tuple[Kaggle, dict[str, bytes]]:
    """Return a server that has Carvana in both qualities, and the files of the normal one."""
    normal = file_bodies(project("carvana"))
    hq = {name.replace(".zip", "_hq.zip"): normal[name] for name in ("train.zip", "test.zip")}
    others = {"metadata.csv": b"id\n", "29bb3ece3180_11.jpg": b"a picture"}
    kaggle.competitions[CARVANA] = Competition(files=normal | hq | others)
    return kaggle, normal


def in_hq() -> None:
    """Take the large pictures."""

    def change(params: tiny.Params) -> None:
        data = params[tiny.NAME]["data"]
        data["train"]["files"] = "train_hq/train/{car}_{view}.jpg"
        data["test"]["files"] = "test_hq/test/{car}_{view}.jpg"

    tiny.edit(Path(), change)


def test_carvana_is_downloaded_from_kaggle_once(
    carvana: tuple[Kaggle, dict[str, bytes]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kaggle, normal = carvana
    assert fetch() == 0
    raw = Path("data/raw") / tiny.NAME
    megabytes = sum(map(len, normal.values())) / 1e6
    assert {name: (raw / name).read_bytes() for name in normal} == normal
    listed = json.loads((raw / "manifest.json").read_text())["files"]
    assert [entry["name"] for entry in listed] == sorted(normal)
    names = ["sample_submission.csv", "test.zip", "train.zip", "train_masks.zip"]
    assert requested_names(kaggle) == names
    output = capfd.readouterr()
    assert output.out == f"tiny: 4 raw files, {megabytes:.1f} MB, from kaggle\n"
    folder = tmp_path / "cache/competitions" / CARVANA
    assert f"to fetch from https://www.kaggle.com/competitions/{CARVANA}: " in output.err
    assert f"into {folder}: 0 bytes already there, " in output.err
    assert (folder / "train.zip").stat().st_nlink == 1, "DVC may make the project's read-only"

    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests == []
    assert f"everything is already downloaded, in {folder}" in capfd.readouterr().err
    tiny.run("index", "split")


def test_the_other_quality_fetches_only_missing_files(
    carvana: tuple[Kaggle, dict[str, bytes]],
) -> None:
    kaggle, _ = carvana
    assert fetch() == 0
    kaggle.requests.clear()
    in_hq()
    assert fetch() == 0
    assert requested_names(kaggle) == ["test_hq.zip", "train_hq.zip"]
    assert kaggle.requests_of("ListDataFiles") == []
    tiny.run("index")


def test_hq_alone(carvana: tuple[Kaggle, dict[str, bytes]]) -> None:
    kaggle, _ = carvana
    in_hq()
    assert fetch() == 0
    names = ["sample_submission.csv", "test_hq.zip", "train_hq.zip", "train_masks.zip"]
    assert requested_names(kaggle) == names


def test_a_table_that_kaggle_packs_stays_packed(
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


def test_missing_disk_space_is_reported_before_a_download(
    carvana: tuple[Kaggle, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kaggle, normal = carvana
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 1000)
    assert fetch() == 5
    output = capfd.readouterr().err
    size = sum(map(len, normal.values()))
    total, twice = disk_space.format_bytes(size), disk_space.format_bytes(2 * size)
    assert "not enough disk space for the download\n  found: 1.0 kB free" in output
    assert f"{total} to fetch, {twice} for the project's copy" in output
    assert "to do: free " in output
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
        "sample_submission.csv, test.zip, test_hq.zip, train.zip, train_hq.zip\n  expected: "
        in capfd.readouterr().err
    )
    assert requested_names(kaggle) == []
    assert not Path("data/raw", tiny.NAME).exists()


def test_the_earlier_raw_files_stay_when_kaggle_refuses(
    carvana: tuple[Kaggle, dict[str, bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    kaggle, _ = carvana
    assert fetch() == 0
    before = tiny.tree(Path())
    kaggle.competitions[CARVANA].rules_accepted = False
    in_hq()
    assert fetch() == 4
    assert f"competitions/{CARVANA}/rules" in capfd.readouterr().err
    assert tiny.tree(Path()) == before


def test_a_cache_among_the_raw_files_is_refused(
    carvana: tuple[Kaggle, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", f"data/raw/{tiny.NAME}/cache")
    assert fetch() == 2
    assert "the download cache lies in the folder of raw files" in capfd.readouterr().err
