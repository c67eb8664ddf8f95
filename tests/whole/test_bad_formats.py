"""Raw files of the three real formats, absent, empty, renamed, or a page in their place."""

import json
from pathlib import Path

import pytest

from tests.support import tiny
from tests.support.damage import HTML, Project, params, put, refused, remove

RAW_FILES = {
    "carvana": ("train.zip", "train_masks.zip", "test.zip"),
    "celeba": ("img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt"),
    "banknotes": ("training_data_pytorch.tar.gz", "validation_labels.csv", "test_labels.csv"),
}


@pytest.mark.parametrize(
    ("format", "file"), [(format, file) for format, files in RAW_FILES.items() for file in files]
)
@pytest.mark.slow
def test_raw_files_of_the_real_formats(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    format: str,
    file: str,
) -> None:
    root = tiny.imitation(tmp_path, format)
    monkeypatch.chdir(root)
    tiny.run("fetch", "index")
    data = (root / "source" / file).read_bytes()
    stem = file.split(".")[0]

    put(f"source/{file}", b"")(root)
    code, words = refused(root, "fetch", capfd, ["tiny"])
    assert f"source/{file}: the file is empty\n  found: 0 bytes\n  to do: fetch it again" in words
    assert code == 3

    remove(f"source/{file}")(root)
    code, words = refused(root, "fetch", capfd, ["tiny"])
    assert f"darkroom fetch tiny: {stem}" in words
    assert "is missing\n  found: " in words
    assert code == 3

    put(f"source/my_{file}", data)(root)
    code, words = refused(root, "fetch", capfd, ["tiny"])
    assert "is missing\n  found: " in words
    assert f"my_{file}" in words
    assert code == 3

    remove(f"source/my_{file}")(root)
    put(f"source/{file}", HTML)(root)
    tiny.run("fetch")
    code, words = refused(root, "index", capfd, ["tiny"])
    assert f"data/raw/tiny/{file}: " in words
    assert "an HTML page" in words
    assert code == 3


def test_the_manifest_tells_what_was_fetched(project: Project) -> None:
    root = project("masks")
    entries = json.loads((root / "data/raw/tiny/manifest.json").read_text())["files"]
    names = ["masks.zip", "test.csv", "test.zip", "train.csv", "train.zip"]
    assert [entry["name"] for entry in entries] == names
    assert [entry["bytes"] for entry in entries] == [
        (root / "source" / name).stat().st_size for name in names
    ]


def test_junk_beside_the_raw_files_is_not_fetched(project: Project) -> None:
    root = project("masks")
    put("source/.DS_Store", b"")(root)
    put("source/__MACOSX/._train.zip", b"x")(root)
    params("data", train={"image": "{image}/{image}"})(root)  # all that lies there may be needed
    tiny.run("fetch")
    names = ["manifest.json", "masks.zip", "test.csv", "test.zip", "train.csv", "train.zip"]
    assert sorted(path.name for path in (root / "data/raw/tiny").iterdir()) == names
