"""The split and its digest: read as written, or refused with what to do."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from darkroom.errors import ArtifactError, DataError
from darkroom.index.card import Card
from darkroom.index.table import COLUMNS, Index, write_index
from darkroom.params.competition import Competition
from darkroom.params.data import Split
from darkroom.project import files
from darkroom.project.checked_json import write_json
from darkroom.project.paths import Layout
from darkroom.stages import split
from darkroom.stages._context import Context
from darkroom.stages._split import read_split, write_split


def test_ids_of_a_split_stay_text(tmp_path: Path) -> None:
    paths = Layout("cars", tmp_path)
    write_split(paths, pd.DataFrame({"id": ["007", "NA", "1e5"], "fold": [0, -1, 1]}))
    assert paths.split.read_text() == "id,fold\n007,0\nNA,-1\n1e5,1\n"
    folds, sha256 = read_split(paths)
    assert folds["id"].tolist() == ["007", "NA", "1e5"]
    assert folds["fold"].tolist() == [0, -1, 1]
    assert sha256 == files.file_sha256(paths.split)


def test_an_edited_split_is_refused(tmp_path: Path) -> None:
    paths = Layout("cars", tmp_path)
    write_split(paths, pd.DataFrame({"id": ["1", "2"], "fold": [0, 1]}))
    paths.split.write_text("id,fold\n1,1\n2,1\n")
    with pytest.raises(ArtifactError) as caught:
        read_split(paths)
    head, found, expected, fix = str(caught.value).splitlines()
    assert (
        head == f"{paths.split}: it is damaged or was edited: it is not what the split stage wrote"
    )
    assert found == f"  found: sha256 {files.file_sha256(paths.split)}"
    assert expected.endswith(", as split.json says")
    assert fix == "  to do: run `dvc repro -sf split@cars`"


@pytest.mark.parametrize("name", ["split", "split_card"])
def test_an_absent_split_is_refused(tmp_path: Path, name: str) -> None:
    paths = Layout("cars", tmp_path)
    write_split(paths, pd.DataFrame({"id": ["1", "2"], "fold": [0, 1]}))
    getattr(paths, name).unlink()
    with pytest.raises(ArtifactError, match="it is not there\n  to do: run `dvc repro -sf split"):
        read_split(paths)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "No columns"),
        ("id,part\n1,0\n", "columns id, part"),
        ("id,fold,more\n1,0,0\n", "columns id, fold, more"),
        ("id,fold\n1,x\n", "'x'"),
        ("id,fold\n1,\n", "''"),
    ],
)
def test_a_split_of_other_columns_is_refused(tmp_path: Path, text: str, words: str) -> None:
    paths = Layout("cars", tmp_path)
    files.write(paths.split, text)
    write_json(paths.split_card, {"rows": 1, "sha256": files.file_sha256(paths.split)})
    with pytest.raises(ArtifactError) as caught:
        read_split(paths)
    assert f"{paths.split}: it is damaged\n  found: " in str(caught.value)
    assert words in str(caught.value)
    assert "to do: run `dvc repro -sf split@cars`" in str(caught.value)


@pytest.mark.parametrize("groups", ["", "ab"])
def test_a_stack_in_two_folds_is_refused_before_anything_is_trained(
    tmp_path: Path, groups: str
) -> None:
    paths, ids = Layout("scans", tmp_path), [f"{case}_{place}" for case in "ab" for place in "123"]
    rows = pd.DataFrame(dict.fromkeys(COLUMNS, ""), index=range(7))
    rows = rows.assign(id=[*ids, "c_1"], part=["train"] * 6 + ["test"], image="x.png")
    rows["digest"] = [f"{number:032x}" for number in range(7)]
    rows.loc[:5, "mask"] = "rle:column 1 3"
    if groups:
        rows["group"] = rows["id"].str[0]
    card = Card("segmentation", metric="dice_hausdorff", header=("id", "rle"))
    write_index(Index(rows, card), paths.index, paths.card)
    parts: Any = {"split": Split(by="group", folds=2)}
    section = Competition.model_construct(**parts)
    context = Context(seed=1, folds=(0,), section=section, paths=paths)
    if groups:
        split.run(context)
        assert read_split(paths)[0]["fold"].nunique() == 2
        return
    with pytest.raises(DataError, match=r"2 stacks, such as a_(?s:.*)split.by: group"):
        split.run(context)
    assert not paths.split.exists()


def test_the_stage_stratifies_mask_classes_by_the_index(tmp_path: Path) -> None:
    rows = pd.DataFrame(dict.fromkeys(COLUMNS, ""), index=range(13))
    rows = rows.assign(id=[f"{n:02}" for n in range(13)], part=["train"] * 12 + ["test"])
    rows = rows.assign(image="x.png", digest=[f"{n:032x}" for n in range(13)])
    rows.loc[:11, "mask"] = [json.dumps([["rle:row 1 3"] * (n < 4), []]) for n in range(12)]
    card = Card("segmentation", targets=("road", "car"), header=("id", "road", "car"))
    parts: Any = {"split": Split(by="stratify", folds=2)}
    section = Competition.model_construct(**parts)
    for seed in range(5):
        paths = Layout(f"roads{seed}", tmp_path)
        write_index(Index(rows, card), paths.index, paths.card)
        split.run(Context(seed=seed, folds=(0,), section=section, paths=paths))
        assert sorted(read_split(paths)[0]["fold"][:4]) == [0, 0, 1, 1]
