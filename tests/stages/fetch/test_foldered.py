"""fetch from a competition that lists single files in folders: one zip of all, then split."""

import random
import shutil
import zipfile
from pathlib import Path

import pytest

from darkroom.raw.sources import cache
from darkroom.remote import disk_space
from darkroom.remote.kaggle import api
from tests.stages.fetch.rig import fetch, files_in_folders, paths, project, requested_names
from tests.support import tiny
from tests.support.loopback import Competition, Cut, Kaggle, NoAnswer, Status

SLUG = "fruit-or-vegetable"


def unpacked_folder() -> Path:
    """Return the folder of the cache in which the archive's files lie."""
    return cache.competition_folder(SLUG) / cache.UNPACKED_FOLDER


def with_second_folder(members: dict[str, bytes]) -> dict[str, bytes]:
    """Return them with the folder "test" called "test2"."""
    return {name.replace("test/", "test2/"): body for name, body in members.items()}


@pytest.fixture
def members(kaggle: Kaggle) -> dict[str, bytes]:
    """Return the files of the competition that is on Kaggle, by name."""
    found = files_in_folders(project("table", kaggle=SLUG))
    paths(test="test.zip/test/{0}.png")
    kaggle.competitions[SLUG] = Competition(files=found | {"extra/unasked.txt": b"text"})
    return found


def test_all_files_come_as_one_zip_which_is_split_once(
    kaggle: Kaggle, members: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    assert fetch() == 0
    assert requested_names(kaggle) == ["all.zip"]
    size = disk_space.format_bytes(sum(map(len, members.values())) + len(b"text"))
    output = capfd.readouterr().err
    assert f"to fetch from https://www.kaggle.com/competitions/{SLUG}: {size}\n" in output
    kept = ["listing.json", "test.csv", "test.zip", "train.csv", "train.zip"]
    assert sorted(path.name for path in unpacked_folder().iterdir()) == kept
    raw = Path("data/raw") / tiny.NAME
    with zipfile.ZipFile(raw / "train.zip") as archive:
        taken = {name: archive.read(name) for name in archive.namelist()}
    assert taken == {name: body for name, body in members.items() if name.startswith("train/")}
    tiny.run("index")

    kaggle.requests.clear()
    assert fetch() == 0
    assert kaggle.requests == []


def test_a_cut_is_resumed(kaggle: Kaggle, members: dict[str, bytes]) -> None:
    unasked = random.Random(1).randbytes(300_000)
    kaggle.competitions[SLUG].files["extra/unasked.bin"] = unasked
    kaggle.play("storage", Cut(0.5))
    assert fetch() == 0
    starts = [request.range_start or 0 for request in kaggle.requests_of("storage")]
    assert len(starts) == 2
    assert 0 == starts[0] < starts[1]
    tiny.run("index")


def test_a_path_into_the_folder_finds_its_zip(kaggle: Kaggle, members: dict[str, bytes]) -> None:
    paths(train="train/{image}.png", test="test/{0}.png")
    assert fetch() == 0
    assert requested_names(kaggle) == ["all.zip"]
    tiny.run("index")


def test_a_long_list_repeats_only_the_page_that_failed(
    kaggle: Kaggle, members: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "PAGE_SIZE", 25)
    kaggle.competitions[SLUG].files |= {f"extra/{number}.txt": b"text" for number in range(60)}
    kaggle.play("ListDataFiles", (), (), Status(503), NoAnswer())
    assert fetch() == 0
    requests = kaggle.requests_of("ListDataFiles")
    pages = [request.body.get("pageToken", "") for request in requests if request.status == 200]
    assert (len(requests), pages) == (6, ["", "25", "50", "75"])


def test_archives_are_still_fetched_file_by_file(kaggle: Kaggle, members: dict[str, bytes]) -> None:
    source = Path("source")
    for part in ("train", "test"):
        kaggle.competitions[SLUG].files[f"{part}.zip"] = (source / f"{part}.zip").read_bytes()
    paths(test="test.zip/{0}.png")
    assert fetch() == 0
    assert requested_names(kaggle) == ["test.csv", "test.zip", "train.csv", "train.zip"]
    assert not unpacked_folder().exists()
    tiny.run("index")


def test_missing_disk_space_is_reported_and_the_list_requested_again_next_time(
    kaggle: Kaggle,
    members: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 10**9)
    kaggle.competitions[SLUG].listed["extra/unasked.txt"] = 10**12
    assert fetch() == 5
    size = sum(map(len, members.values()))
    wanted, twice = disk_space.format_bytes(size), disk_space.format_bytes(2 * size)
    assert f"1,000.0 GB to fetch, {wanted} to take it apart, {twice} for" in capfd.readouterr().err
    assert {request.kind for request in kaggle.requests} == {"ListDataFiles"}
    kaggle.competitions[SLUG].listed.clear()
    assert fetch() == 0


def test_a_folder_added_at_kaggle_later_is_named_with_what_to_do(
    kaggle: Kaggle, members: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    assert fetch() == 0
    kaggle.competitions[SLUG].files |= with_second_folder(members)
    paths(test="test2.zip/test2/{0}.png")
    assert fetch() == 4
    output = capfd.readouterr().err
    assert "Kaggle lists test2.zip, but the archive of all files lacks it" in output
    assert (
        f"to do: delete {unpacked_folder()}, and run it again: the archive is then downloaded again"
        in output
    )
    shutil.rmtree(unpacked_folder())
    assert fetch() == 0
    tiny.run("index")


def test_files_of_two_bundles_are_not_mixed(kaggle: Kaggle, members: dict[str, bytes]) -> None:
    kaggle.competitions[SLUG].files |= with_second_folder(members)
    assert fetch() == 0
    table = members["train.csv"].replace(b"yes", b"no ", 1)
    kaggle.competitions[SLUG].files["train.csv"] = table
    paths(test="test2.zip/test2/{0}.png")
    assert fetch() == 0
    assert Path("data/raw", tiny.NAME, "train.csv").read_bytes() == table


def test_a_table_inside_a_folder_is_named(
    kaggle: Kaggle, members: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    deeper = {f"fruit/{name}": body for name, body in members.items()}
    kaggle.competitions[SLUG].files = deeper
    assert fetch() == 4
    output = capfd.readouterr().err
    assert f"https://www.kaggle.com/competitions/{SLUG}: t" in output
    assert "  found: deeper: fruit/t" in output
    assert "unpack it, and set data.source to it, to the folder of that file" in output
    assert requested_names(kaggle) == []


def test_a_folder_with_a_reserved_name_is_refused(
    kaggle: Kaggle, members: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    files = kaggle.competitions[SLUG].files
    files |= {name.replace("train/", "bundle/"): body for name, body in members.items()}
    paths(train="bundle.zip/bundle/{image}.png")
    assert fetch() == 4
    assert "the download cache uses that name itself" in capfd.readouterr().err
    assert requested_names(kaggle) == []


def test_rules_that_are_not_accepted_are_named(
    kaggle: Kaggle, members: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    kaggle.competitions[SLUG].rules_accepted = False
    assert fetch() == 4
    assert f"competitions/{SLUG}/rules" in capfd.readouterr().err
    assert not Path("data/raw", tiny.NAME).exists()
