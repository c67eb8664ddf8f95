"""What the index can't refuse but is hardly meant: counted, each with its number."""

from pathlib import Path
from typing import Any

import pytest

from darkroom.index.card import MOVED_PLANES, SIMILAR_GROUPS
from tests.index.assembly.test_kinds import index_of, write

KEYS: dict[str, Any] = {
    "task": "multiclass",
    "train": {"table": "train.csv", "image": "train/{img}.png", "targets": "label"},
    "test": {"files": "test/{img}.png"},
    "header": ["id", "label"],
}


def declared(raw: Path, text: str, **more: Any) -> dict[str, int]:
    """Return the counts but for those of images."""
    write(raw, {"train.csv": text}, {"train": "1.png 2.png 3.png 4.png", "test": "5.png"})
    counts = index_of(raw, **KEYS | more).card.declared
    return {what: count for what, count in counts.items() if not what.endswith("images")}


@pytest.mark.parametrize(
    ("groups", "alike"),
    [
        ("p0 P0 p1 p2", "P0, p0"),
        ("1 01 2 02", "01, 1"),
        ("a_07 a_7 A_007 b", "A_007, a_07, a_7"),
        ("1.05 1.5 10 1", ""),
        ("a0b ab 0 00x", ""),
    ],
)
def test_groups_that_may_be_one(tmp_path: Path, groups: str, alike: str) -> None:
    lines = [f"{n},{'ab'[n % 2]},{group}\n" for n, group in enumerate(groups.split(), 1)]
    train = KEYS["train"] | {"group": "who"}
    counts = declared(tmp_path, "img,label,who\n" + "".join(lines), train=train)
    number = 4 if "02" in groups else len(alike.split())
    assert counts == ({f"{SIMILAR_GROUPS} {alike}": number} if alike else {})


def test_an_image_of_two_ids_with_other_targets(tmp_path: Path) -> None:
    keys = {"train": KEYS["train"] | {"id": "key"}, "test": KEYS["test"] | {"id": "img"}}
    same = "key,img,label\na,1,x\nb,1,x\nc,2,y\n"
    assert declared(tmp_path, same, **keys) == {}
    other = "key,img,label\na,1,x\nb,1,x\nc,1,y\nd,2,y\ne,2,y\n"
    what = "train ids whose image has another id, too, with other targets"
    assert declared(tmp_path, other, **keys) == {what: 3}


def test_an_image_of_two_ids_with_other_masks(tmp_path: Path) -> None:
    train = {"table": "train.csv", "image": "train/{img}.png", "rle": "runs", "id": "key"}
    keys = {"task": "segmentation", "train": train, "test": KEYS["test"] | {"id": "img"}}
    text = "key,img,runs\na,1,1 2\nb,1,1 3\nc,2,1 2 5 1\nd,2,5 1 1 2\n"
    what = "train ids whose image has another id, too, with other targets"
    assert declared(tmp_path, text, **keys)[what] == 2


def test_rows_of_training_in_the_table_of_test_are_not_left_out_of_test(tmp_path: Path) -> None:
    cells = "img,label,part\n1,x,train\n2,y,train\n3,,test\n4,,ignored\n"
    parts = {
        part: {"table": "train.csv", "image": "train/{img}.png", "where": {"part": part}}
        for part in ("train", "test")
    }
    parts["train"]["targets"] = "label"
    assert declared(tmp_path, cells, **parts) == {
        "train rows left out by where": 2,
        "test rows left out by where": 1,
    }


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ("train/{img}_red train/{img}_blue", "test/{img}_blue test/{img}_red", "blue, red"),
        ("1/{img} 2/{img}", "test2/{img} test1/{img}", "1, 2"),
        ("train/{red} train/{blue}", "test/{Blue} test/{Red}", "blue, red"),
        ("train/{img}_red train/{img}_blue", "test/{img}_red test/{img}_blue", ""),
        ("train/{img} b/{img}", "test/{img} tb/{img}", ""),
    ],
)
def test_planes_of_test_in_another_order(tmp_path: Path, train: str, test: str, words: str) -> None:
    own, others = train.split(), test.split()
    cells = "img,red,blue,Red,Blue,label\n1,1,1,1,1,a\n2,2,2,2,2,b\n"
    tables = {"train.csv": cells, "test.csv": "img,Red,Blue\n3,3,3\n"}
    paths = [each.partition("/") for each in own + others]
    names = {"{img}": "1 2 3", "{red}": "1 2", "{blue}": "1 2", "{Red}": "3", "{Blue}": "3"}
    folders: dict[str, str] = {}
    for top, _, rest in paths:
        field, _, end = rest.partition("}")
        listed = [f"{name}{end}.png" for name in names[field + "}"].split()]
        folders[top] = " ".join([folders.get(top, ""), *listed]).strip()
    write(tmp_path, tables, folders)
    index = index_of(
        tmp_path,
        **KEYS
        | {
            "train": KEYS["train"] | {"image": [f"{each}.png" for each in own], "id": "img"},
            "test": {"table": "test.csv", "image": [f"{each}.png" for each in others]},
        },
    )
    moved = {what: n for what, n in index.card.declared.items() if MOVED_PLANES in what}
    assert moved == ({f"test {MOVED_PLANES} {words}": 2} if words else {})
