"""Parameters and labels that cannot be: an exit code, words, and nothing touched."""

from pathlib import Path

import pytest

from tests.support import tiny
from tests.support.damage import (
    Case,
    Project,
    check_case,
    edited,
    parametrize,
    params,
    put,
    refused,
    remove,
)


def of_one_group(root: Path) -> None:
    """Put all pears into one group, which a fold takes whole."""
    table = root / "source/train.csv"
    lines = [
        line.split(",")[0] + ",pears," + line.split(",", 2)[2] if "pear" in line else line
        for line in table.read_text().splitlines()
    ]
    tiny.put(table, "\n".join(lines) + "\n")
    params("split", by="group")(root)


def unseen_label(root: Path) -> None:
    tiny.put(root / "source/test.csv", 'image,fruit\nt0,pear\nt1,10\nt2,"a, b"\nt3,fig\nt4,10\n')
    params("data", test={"targets": ["fruit"]})(root)


@parametrize(
    Case(
        "too few groups",
        params("split", folds=9),
        "split",
        2,
        (
            "tiny: there are more folds than groups of images that must stay together",
            "found: 9 folds, 8 groups (16 images)",
            "to do: lower split.folds",
        ),
    ),
    Case(
        "no official part",
        params("split", by="official"),
        "split",
        2,
        ("there is no official partition to split by\n  found: 16 images of no part",),
    ),
    Case(
        "a class in one fold",
        of_one_group,
        "split",
        3,
        (
            "tiny: a class is absent from training\n",
            "\n  class pear: all its images are validated in fold ",
            "set split.by to stratify",
        ),
        kind="multiclass",
    ),
    Case(
        "a class too small",
        params("split", folds=6),
        "split",
        3,
        (
            "fewer than two classes can be validated in 6 folds\n",
            "  class a, b: 5 images\n",
            "to do: lower split.folds to 5, or add images of these classes",
        ),
        kind="multiclass",
    ),
    Case(
        "a class of the test alone",
        unseen_label,
        "index",
        3,
        (
            "test.csv, row 5: target fruit holds 'fig', which no training row has",
            "expected: one of 10, a, b, pear",
        ),
        kind="multiclass",
    ),
    Case(
        "no such source",
        params("data", source="nowhere"),
        "fetch",
        2,
        ("data.source is not a folder\n  found: nowhere, which does not exist",),
    ),
    Case(
        "a file as source",
        params("data", source="params.yaml"),
        "fetch",
        2,
        ("data.source is not a folder\n  found: params.yaml, a file",),
    ),
    Case(
        "no sample",
        params("data", source="sample"),
        "fetch",
        2,
        ("tiny.data.sample: this key is missing: what to draw: carvana, celeba or banknotes",),
    ),
    Case(
        "a mask net for labels",
        lambda root: tiny.edit(
            root,
            lambda all_params: all_params["tiny"].update(
                model={"name": "unet", "width": 4, "depth": 2}
            ),
        ),
        "train",
        2,
        (
            "model.name: unet does not fit the task multiclass\n"
            "  found: a network that predicts masks",
        ),
        kind="multiclass",
    ),
    Case(
        "a label net for masks",
        edited(lambda all_params: all_params["tiny"].update(model={"name": "resnet18"})),
        "train",
        2,
        (
            "model.name: resnet18 does not fit the task segmentation",
            "expected: unet, encoder_unet, unetplusplus, fpn, deeplabv3plus, segformer",
        ),
        first="train",
    ),
    Case(
        "no such column",
        params("data", train={"mask": "masks.zip/{masks}.png"}),
        "index",
        2 + 1,
        ("train.csv, row 1: no column 'masks'",),
    ),
    Case(
        "two faults",
        params("train", epochs="two", epoch=3),
        "train",
        2,
        (
            "params.yaml: 2 keys or values are wrong",
            "tiny.train.epochs: found 'two' (str)",
            "tiny.train.epoch: unknown key; did you mean 'epochs'?",
        ),
        first="train",
    ),
    Case(
        "a fold that is not cut",
        edited(lambda all_params: all_params.update(folds=[0, 2])),
        "split",
        2,
        ("folds: found [2], but tiny.split.folds is 2: folds 0 to 1",),
        first="split",
    ),
    Case(
        "no params",
        remove("params.yaml"),
        "index",
        2,
        ("params.yaml: there is no such file\n  to do: run in the project's root folder;",),
        first="index",
    ),
    Case(
        "not YAML",
        put("params.yaml", "seed: [7\n"),
        "audit",
        2,
        ("params.yaml: it is not YAML: ",),
        first="audit",
    ),
)
def test_params_and_labels(case: Case, project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    check_case(case, project, capfd)


def test_an_unknown_name(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    root = project("masks")
    for verb in tiny.VERBS:
        code, words = refused(root, verb, capfd, ["tyny"])
        assert f"darkroom {verb} tyny: params.yaml: there is no competition 'tyny'" in words
        assert "expected: one of tiny\n  to do: did you mean 'tiny'?" in words
        assert code == 2


@pytest.mark.parametrize("fold", [2, -1])
def test_a_fold_that_is_not_there(
    project: Project, capfd: pytest.CaptureFixture[str], fold: int
) -> None:
    code, words = refused(project("masks"), "train", capfd, ["tiny", f"--fold={fold}"])
    assert f"fold {fold} has no image to validate on\n  found: folds 0, 1" in words
    assert code == 2


def test_a_training_image_is_never_validated_by_a_fold_below_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An official partition marks what only trains with -1, which is no fold."""
    root = tiny.imitation(tmp_path, "banknotes")
    monkeypatch.chdir(root)
    tiny.run("fetch", "index", "split", "preprocess")
    code, words = refused(root, "train", capfd, ["tiny", "--fold=-1"])
    assert "fold -1 has no image to validate on\n  found: folds 0\n" in words
    assert code == 2
