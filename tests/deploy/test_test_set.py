"""A test set from its raw files alone: the pipeline's rows, for each kind of target."""

import contextlib
import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import contests
from darkroom.cli.main import main
from darkroom.deploy.preparation import Preparation
from darkroom.prediction.decision import Decision, read_decision, write_decision
from darkroom.raw.archives import Archives
from darkroom.store.shard import ShardFormat
from tests.deploy.conftest import KINDS, VERBS, Trained
from tests.support import tiny
from tests.support.contests import needs_contests
from tests.support.packed import zip_of


def hidden(root: Path, *names: str) -> Path:
    """Return a folder of some raw files; what a code competition does not have is gone."""
    raw = root / "hidden"
    raw.mkdir()
    for name in names:
        shutil.copy(root / "source" / name, raw / name)
    for gone in ("source", "data/raw", "data/processed", "data/start", "data/predictions"):
        shutil.rmtree(root / gone, ignore_errors=True)
    (root / "data/index/tiny.csv").unlink()
    return raw


def submission(root: Path) -> bytes:
    return (root / "submissions/tiny.csv.gz").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_are_those_of_the_pipeline(trained: Trained, kind: str) -> None:
    root = trained(kind)
    raw = hidden(root, "test.csv", "test.zip")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert main(["predict", "tiny", "--raw", str(raw), "--out", "out/submission.csv"]) == 0
    plain = (root / "out/submission.csv").read_bytes()
    assert plain == gzip.decompress(submission(root))
    assert plain.count(b"\n") == 6
    assert main(["predict", "tiny", "--raw", "hidden", "--out", "again.csv.gz"]) == 0
    assert (root / "again.csv.gz").read_bytes() == submission(root)
    written = {path for path in root.rglob("*") if path.is_file()} - {*before}
    assert {path.relative_to(root).as_posix() for path in written} == {
        "out/submission.csv",
        "again.csv.gz",
    }
    assert {path: path.read_bytes() for path in before} == before


def test_a_sample_submission_decides_on_order_and_on_which(trained: Trained) -> None:
    """The hidden one of a code competition has other rows than the one of the training."""
    root = trained("binary")
    raw = hidden(root, "test.zip")
    tiny.edit(root, change_to_sample)
    tiny.put(raw / "sample.csv", "image,green\nt3,0\nt0,0\nt1,0\n")
    assert main(["predict", "tiny", "--raw", "hidden", "--out", "a.csv"]) == 0
    rows = gzip.decompress(submission(root)).decode().split()
    expected = [next(row for row in rows if row.startswith(name)) for name in ("t3", "t0", "t1")]
    assert (root / "a.csv").read_text().split() == [rows[0], *expected]


def change_to_sample(params: dict[str, Any]) -> None:
    data = params["tiny"]["data"]
    del data["header"]
    data["like"] = "sample.csv"
    data["test"] = {"image": "test.zip/{id}.png"}


def test_a_row_a_label_and_objects_are_written_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys with {label}, whose labels the card knows: nothing of training is at hand."""
    root = tiny.project(
        tmp_path,
        "multilabel",
        data={"row": "{id}_{label}", "header": ["id", "p"], "metric": "roc_auc"},
        train={"epochs": 1},
    )
    sample = "".join(f"t{n}_{label},0\n" for n in (2, 0, 4) for label in ("green", "warm"))
    tiny.put(root / "source/sample.csv", f"id,p\n{sample}")
    tiny.edit(root, change_to_sample)
    monkeypatch.chdir(root)
    tiny.run(*VERBS)
    hidden(root, "sample.csv", "test.zip")
    assert main(["predict", "tiny", "--raw", "hidden", "--out", "a.csv"]) == 0
    plain = (root / "a.csv").read_bytes()
    assert plain == gzip.decompress(submission(root))
    assert [row.split(",")[0] for row in plain.decode().split()][:3] == [
        "id",
        "t2_green",
        "t2_warm",
    ]


def test_what_cannot_be_trusted_is_refused(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained("binary")
    command = ["predict", "tiny", "--raw", "source", "--out", "a.csv"]

    def refused(code: int, *changed: str) -> str:
        assert main([*command, *changed]) == code
        assert not (root / "a.csv").exists()
        return capsys.readouterr().err

    message = refused(6, "--fold", "0")
    assert "found: fold 0\n  expected: fold 1, fold 0\n  to do: leave --fold out" in message
    assert "there is no trained model here" in refused(6, "--fold", "7")
    assert "correct the path" in refused(3, "--raw", "elsewhere")
    assert "ends in .csv, .csv.gz" in refused(2, "--out", "a.parquet")
    assert "expected: a folder of raw files" in refused(3, "--raw", "params.yaml")
    table = (root / "source/test.csv").read_bytes()
    assert "would replace a raw file" in refused(2, "--out", "source/test.csv")
    assert (root / "source/test.csv").read_bytes() == table
    decision = read_decision(root / "reports/tiny/decision.json", "tiny", "binary")
    write_decision(root / "reports/tiny/decision.json", Decision(networks=decision.networks[::-1]))
    assert "chosen on the predictions of other networks" in refused(6)
    (root / "reports/tiny/decision.json").unlink()
    assert "run `dvc repro evaluate@tiny` first" in refused(6)


def test_all_broken_images_are_named(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    root = trained("regression")
    broken = {f"t{n}.png": b"\x89PNG" if n in (1, 3) else b"" for n in range(5)}
    good = tiny.png(tiny.patch(1, (9, 9, 9)))
    tiny.put(root / "hidden/test.csv", "image\nt0\nt1\nt2\nt3\n")
    zip_of(root / "hidden/test.zip", {n: data or good for n, data in broken.items()})
    assert main(["predict", "tiny", "--raw", "hidden", "--out", "a.csv"]) == 3
    message = capsys.readouterr().err
    assert "2 of 4 test images cannot be used" in message
    assert "test.zip/t1.png" in message
    assert "test.zip/t3.png" in message
    assert not (root / "a.csv").exists()


@pytest.mark.parametrize(
    ("images", "channels", "expected"),
    [
        (["a.png"], 3, (3,)),
        (["a.npy"], 7, (7,)),
        (['["a.png", "b.png"]'], 2, (1, 1)),  # all in grey here, or not: training decided
        (['["a.png", "b.png"]'], 6, (3, 3)),
        (['["a.png", "b.png"]'], 4, (3, 1)),
        ([], 3, (3,)),
    ],
)
def test_channels_are_those_that_the_networks_take(
    tmp_path: Path, images: list[str], channels: int, expected: tuple[int, ...]
) -> None:
    tiny.put(tmp_path / "a.png", tiny.png(tiny.patch(1, (9, 99, 9))))
    tiny.put(tmp_path / "b.png", tiny.png(tiny.patch(1, (9, 9, 9))[:, :, 0]))
    archives = Archives(tmp_path, tmp_path / "unpacked")
    preparation = Preparation(ShardFormat(8, 8, "pad", "raw", channels))
    assert preparation.reader(archives, images).channels == expected


# A layout each: files with one mask a class, a folder an image, pixels in cells, planes, a split
# zip, rows a label, a 7z, DICOM ... The first two stand for all in a usual run.
CONTEST_NAMES = [
    "rsna_haemorrhage",
    "dsb2018",
    *(
        pytest.param(name, marks=pytest.mark.long)
        for name in contests.contest_names()
        if name not in ("rsna_haemorrhage", "dsb2018")
    ),
]


@needs_contests
@pytest.mark.slow  # whole trainings
@pytest.mark.parametrize("name", CONTEST_NAMES)
def test_recipes_of_real_competitions_need_no_training_files(tmp_path: Path, name: str) -> None:
    contests.load_contest(name).draw(tmp_path, 3)
    own = contests.DRAWN_OTHERWISE.get(name, {})
    params = contests.parameters(contests.RECIPE_OF[name], tmp_path / "raw", own)
    (section,) = params["competitions"]
    params[section]["train"]["epochs"] = 1
    assert contests.run_stages(params, tmp_path, VERBS) == ""
    for file in (tmp_path / "raw").iterdir():
        if "train" in file.name.lower() and name != "state_farm":  # which has both parts in one
            (shutil.rmtree if file.is_dir() else Path.unlink)(file)
    for folder in ("raw", "processed", "predictions"):
        shutil.rmtree(tmp_path / "data" / folder)
    with contextlib.chdir(tmp_path):
        assert main(["predict", section, "--raw", "raw", "--out", "a.csv"]) == 0
    expected = gzip.decompress((tmp_path / f"submissions/{section}.csv.gz").read_bytes())
    assert (tmp_path / "a.csv").read_bytes() == expected
