"""Recipes merged into params.yaml: what changes, what stays, and what is refused."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import modify_yaml

from darkroom.cli import main
from darkroom.cli.recipes import use
from darkroom.cli.recipes.recipe import read_recipe
from darkroom.params import file as paramfile
from darkroom.params.document import parse_mapping
from darkroom.params.networks import LABEL_NAMES, MASK_NAMES
from darkroom.project import files

ROOT = Path(__file__).parents[3]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
SECTIONS = ["data", "split", "preprocess", "model", "train", "predict", "evaluate"]

FAST = """\
recipe:
  for: cars in a hurry
  expected: {time: 10 min, score: dice 0.97, basis: measured}
folds: [0, 1]
carvana:
  data:
    source: sample
    sample: carvana
    task: segmentation
    train: {files: "train/{id}.jpg", mask: "train_masks/{id}_mask.gif"}
    test: {files: "test/{id}.jpg"}
    like: sample_submission.csv
  model: {name: encoder_unet, encoder: resnet34}
  train:
    epochs: 3
    batch_size: 4
    lr: 1e-3
    tail: 1
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a project with the parameters that ship, a source of its own, and two recipes."""
    (tmp_path / "recipes").mkdir()
    text = (ROOT / "params.yaml").read_text().replace("source: sample", "source: ../mine", 1)
    text = text.replace("[carvana, celeba, banknotes]", "[carvana]")
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "recipes/cars-fast.yaml").write_text(FAST.replace("    tail: 1\n", ""))
    (tmp_path / "recipes/bad.yaml").write_text(FAST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def use_recipe(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main.main(["use", *arguments]) == code
    streams = capsys.readouterr()
    return streams.err if code else streams.out


def raw(root: Path) -> Any:
    return parse_mapping((root / "params.yaml").read_text(), file="a test")


def test_a_recipe_is_merged_and_its_changes_are_listed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = raw(root)
    out = use_recipe(capsys, "cars-fast")
    after = paramfile.read_params(Path("params.yaml"))
    assert after.folds == [0, 1]
    train = after.section("carvana").train
    assert (train.epochs, train.batch_size, train.lr) == (3, 4, 1e-3)
    assert "folds: [0] -> [0, 1]\n" in out
    assert "carvana.model.name: unet -> encoder_unet\n" in out
    assert "carvana.model.width: 8 -> (none)\n" in out
    assert "carvana.model.encoder: (none) -> resnet34\n" in out
    assert f"carvana.train.lr: {before['carvana']['train']['lr']} -> 0.001\n" in out
    assert out.endswith("\n\nexpect 10 min, dice 0.97 (measured)\nrun it: dvc repro\n")
    for section in ("celeba", "banknotes"):
        assert raw(root)[section] == before[section]


def test_tabs_are_refused_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root / "params.yaml"
    text = file.read_text().replace("seed: 7 ", "seed: 7\t", 1)
    assert "\t" in text
    file.write_text(text)
    message = use_recipe(capsys, "cars-fast", code=2)
    assert "a recipe can't be merged into it" in message
    assert "without tabs" in message
    assert file.read_text() == text


def test_line_endings_stay(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = root / "params.yaml"
    plain = file.read_bytes()
    use_recipe(capsys, "cars-fast")
    expected = file.read_bytes().replace(b"\n", b"\r\n")
    file.write_bytes(plain.replace(b"\n", b"\r\n"))
    use_recipe(capsys, "cars-fast")
    assert file.read_bytes() == expected


def test_a_byte_order_mark_and_mixed_line_ends_stay(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root / "params.yaml"
    lines = file.read_text().splitlines()
    mixed = "".join(f"{line}{chr(13) * (n % 3 == 1)}\n" for n, line in enumerate(lines))
    file.write_bytes(b"\xef\xbb\xbf" + mixed.encode())
    use_recipe(capsys, "cars-fast")
    after = file.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf#")
    assert after.count(b"\xef\xbb\xbf") == 1
    ends = {line.rstrip(b"\r\n"): line for line in after[3:].splitlines(keepends=True)}
    for line in mixed.encode().splitlines(keepends=True):
        plain = line.rstrip(b"\r\n")
        if plain and mixed.count(f"\n{plain.decode()}") == 1 and plain in ends:
            assert ends[plain] == line


def test_a_comment_that_would_be_lost_is_refused_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root / "params.yaml"
    text = file.read_text().replace("transfers: []", 'transfers: [  # from "a" # b\n]', 1)
    file.write_text(text)
    message = use_recipe(capsys, "cars-fast", code=2)
    assert "params.yaml, row 7: a recipe can't be merged into it" in message
    assert "found: transfers: [  # from" in message
    assert "to do: move the comment above its key" in message
    assert file.read_text() == text


@pytest.mark.parametrize("recipe", [None, *sorted((ROOT / "recipes").glob("*.yaml"))])
def test_an_edit_of_dvcs_changes_one_line(
    root: Path, capsys: pytest.CaptureFixture[str], recipe: Path | None
) -> None:
    """What ships, and what `darkroom use` makes of it, is in the form that DVC writes."""
    if recipe:
        use_recipe(capsys, str(recipe))
    file = root / "params.yaml"
    before = file.read_text().splitlines()
    with modify_yaml(str(file)) as params:
        params["seed"] = 8
    after = file.read_text().splitlines()
    assert [line for line in after if line not in before] == [
        next(line for line in before if line.startswith("seed:")).replace("7", "8", 1)
    ]
    assert len(after) == len(before)


def test_comments_and_all_other_lines_stay(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (root / "params.yaml").read_text().splitlines()
    changed = len(re.findall(r" -> ", use_recipe(capsys, "cars-fast")))
    after = (root / "params.yaml").read_text().splitlines()
    kept = [line for line in before if line in after]
    come = [line for line in after if line not in before]
    assert kept == [line for line in after if line in before]  # in their order
    assert 5 <= len(come) <= changed
    for key in ("folds", "name", "epochs", "lr"):
        (now,) = [line for line in come if re.match(rf" *{key}:", line)]
        (then,) = [line for line in before if re.match(rf" *{key}:", line) and line not in after][
            :1
        ]
        assert now[now.index("#") :] == then[then.index("#") :]
        assert now.index("#") == then.index("#")


def test_keys_that_a_recipe_leaves_out_return_to_their_defaults(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "params.yaml"
    path.write_text(re.sub(r"( ema:)    ", r"\1 0.99", path.read_text()))
    assert "carvana.train.ema: 0.99 -> null\n" in use_recipe(capsys, "cars-fast")
    assert raw(root)["carvana"]["train"]["ema"] is None


def test_the_users_source_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "data" not in use_recipe(capsys, "cars-fast")
    assert raw(root)["carvana"]["data"]["source"] == "../mine"


def test_a_recipe_may_replace_the_source(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "recipes/cars-fast.yaml").read_text()
    (root / "own.yaml").write_text(text.replace("recipe:\n", "recipe:\n  data: replace\n"))
    assert "carvana.data.source: ../mine -> sample\n" in use_recipe(capsys, "own.yaml")


def test_a_recipe_adds_a_missing_section(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "params.yaml").read_text()
    (root / "recipes/faces.yaml").write_text("celeba:" + text.split("\nceleba:")[1])
    (root / "params.yaml").write_text(text.split("\nceleba:")[0])
    assert "celeba.model.name: (none) -> resnet18\n" in use_recipe(capsys, "faces")
    assert raw(root)["celeba"] == parse_mapping(text, file="a test")["celeba"]


@pytest.mark.parametrize("merged", [False, True])
def test_a_new_section_shares_the_users_data(
    root: Path, capsys: pytest.CaptureFixture[str], merged: bool
) -> None:
    """So that another source is named once, whichever section of the recipe is new."""
    text = FAST.replace("    tail: 1\n", "").replace("  data:\n", "  data: &data\n")
    second = "  <<: *first\n" if merged else "  data: *data\n"
    text = (
        text.replace("carvana:\n", "carvana_small: &first  # half the size\n")
        + """\
  split: {by: group, folds: 4}
  preprocess: {height: 32, width: 48, fit: stretch}
  predict: {batch_size: 2}
  evaluate: {threshold: 0.5}
carvana:
"""
    )
    last = "  train: {epochs: 2, batch_size: 2, lr: 0.1}\n"
    (root / "recipes/cars-fast.yaml").write_text(text + second + last)
    use_recipe(capsys, "cars-fast")
    assert raw(root)["carvana_small"]["data"] == raw(root)["carvana"]["data"]
    assert raw(root)["carvana_small"]["train"] == {"epochs": 3, "batch_size": 4, "lr": 1e-3}
    path = root / "params.yaml"
    assert path.read_text().count("../mine") == 1
    assert re.search(r"^carvana_small: +# half the size$", path.read_text(), re.MULTILINE)
    path.write_text(path.read_text().replace("../mine", "../other"))
    assert raw(root)["carvana_small"]["data"]["source"] == "../other"


def test_the_same_recipe_again_changes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use_recipe(capsys, "cars-fast")
    before = (root / "params.yaml").read_bytes()
    assert use_recipe(capsys, "cars-fast") == "params.yaml is already as cars-fast has it\n"
    assert (root / "params.yaml").read_bytes() == before


def test_recipes_are_listed_by_task_and_metric(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(use, "CATALOGUE", Path("catalogue"))
    monkeypatch.setattr(use, "RECIPES", (Path("recipes"),))
    for name, metric in (("a-fish", "map@5"), ("b-birds", "log_loss")):
        (root / f"recipes/{name}.yaml").write_text(
            f"recipe: {{for: {'a long purpose ' * 4}, expected: {{time: 2 h}}}}\n"
            f"x: {{data: {{task: multiclass, metric: {metric}}}}}\n"
        )
    (root / "recipes/mine.yaml").write_text("recipe: {for: any}\nx: {train: {epochs: 3}}\n")
    assert use_recipe(capsys).splitlines() == [
        "segmentation",
        "  bad        10 min, dice 0.97  cars in a hurry",
        "  cars-fast  10 min, dice 0.97  cars in a hurry",
        "",
        "multiclass",
        "  b-birds  log_loss  2 h",
        "  a-fish   map@5     2 h",
        "",
        "of your own data",
        "  mine  any",
        "",
        "darkroom use NAME takes one into params.yaml. NAME.yaml says more, in recipes or",
        "catalogue",
    ]


def test_recipes_of_the_package_stand_beside_ones_own(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = [path.stem for path in RECIPES]
    listed = [line.split()[0] for line in use_recipe(capsys).splitlines() if line[:2] == "  "]
    assert sorted(listed) == sorted([*shipped, "bad", "cars-fast"])
    (root / "recipes/cars-fast.yaml").rename(root / "recipes/carvana-laptop.yaml")
    assert "dice 0.97" in use_recipe(capsys, "carvana-laptop")  # one's own comes first
    shutil.rmtree(root / "recipes")
    listed = [line.split()[0] for line in use_recipe(capsys).splitlines() if line[:2] == "  "]
    assert sorted(listed) == shipped


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("bad", "recipes/bad.yaml: 1 key or value is wrong\n  carvana.train.tail: unknown key"),
        ("carsfast", "did you mean cars-fast?"),
        ("lost.yaml", "lost.yaml: there is no such file"),
    ],
)
def test_a_refused_recipe_leaves_the_file_unchanged(
    root: Path, capsys: pytest.CaptureFixture[str], word: str, words: str
) -> None:
    before = (root / "params.yaml").read_bytes()
    assert words in use_recipe(capsys, word, code=2)
    assert (root / "params.yaml").read_bytes() == before
    assert not list(root.glob("*.part"))


def test_invalid_parameters_are_refused_first(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("seed:", "sede:"))
    assert "darkroom use: params.yaml: 2 keys or values are wrong" in use_recipe(
        capsys, "cars-fast", code=2
    )


def test_an_alias_of_what_is_to_differ_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = raw(root)
    content["celeba"]["train"] = content["carvana"]["train"]  # one object: YAML shares it
    text = yaml.safe_dump(content, sort_keys=False)
    assert "*id001" in text
    (root / "params.yaml").write_text(text)
    train = "{train: {epochs: %d, batch_size: 4, lr: 1e-3}}"
    (root / "recipes/both.yaml").write_text(f"carvana: {train % 3}\nceleba: {train % 4}\n")
    assert "a recipe can't be merged into it\n  found: values shared by aliases" in (
        use_recipe(capsys, "both", code=2)
    )
    assert (root / "params.yaml").read_text() == text


HEIR = """
second:
  <<: *cars
  model: {name: unet, width: 4}
  train: {<<: *cars_train, lr: 0.5}
"""


@pytest.fixture
def heir(root: Path) -> Path:
    """Return the parameters with a section that inherits from carvana's."""
    path = root / "params.yaml"
    text = path.read_text().replace("\ncarvana: ", "\ncarvana: &cars ", 1)
    path.write_text(text.replace("\n  train: ", "\n  train: &cars_train ", 1) + HEIR)
    return path


def test_what_a_recipe_changes_is_inherited(heir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = use_recipe(capsys, "cars-fast")
    for line in ("carvana.train.epochs: 10 -> 3", "second.train.epochs: 10 -> 3"):
        assert line in message
    assert "second.train.lr" not in message
    assert HEIR.strip() in heir.read_text(), "what the section itself says stays"
    train = paramfile.read_params(heir).section("second").train
    assert (train.epochs, train.batch_size, train.lr) == (3, 4, 0.5)


@pytest.mark.parametrize(
    ("recipe", "lines"),
    [
        (
            "{train: {epochs: 3, batch_size: 4, lr: 1e-3}}",
            # What a recipe leaves out takes its default, here against the inherited patience.
            ["  train: {<<: *cars_train, lr: 1e-3, epochs: 3, batch_size: 4, patience: null}"],
        ),
        (
            "{preprocess: {height: 40, width: 30}}",
            [
                "  train: {<<: *cars_train, lr: 0.5}",
                "  preprocess: {height: 40, width: 30, fit: stretch, store: jpeg, quality: 90}",
            ],
        ),
    ],
)
def test_a_recipe_for_an_inheriting_section_leaves_the_other_one(
    heir: Path, capsys: pytest.CaptureFixture[str], recipe: str, lines: list[str]
) -> None:
    before = paramfile.read_params(heir)
    (heir.parent / "recipes/second.yaml").write_text(f"second: {recipe}\n")
    assert "carvana." not in use_recipe(capsys, "second")
    text = heir.read_text()
    assert [line for line in lines if line not in text.splitlines()] == []
    after = paramfile.read_params(heir)
    assert after.section("carvana") == before.section("carvana")


def test_a_recipe_that_an_inheriting_section_cannot_bear_is_refused(
    heir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = heir.read_text()
    heir.write_text(text.replace("lr: 0.5}", "crop: [128, 192]}"))
    (heir.parent / "recipes/small.yaml").write_text(
        "carvana: {preprocess: {height: 64, width: 64}}\n"
    )
    message = use_recipe(capsys, "small", code=2)
    assert "second.train.crop: found [128, 192], but second.preprocess stores images" in message
    assert "crop: [128, 192]" in heir.read_text()


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_shipped_recipe_is_complete_and_valid(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: Path,
) -> None:
    recipe = read_recipe(file)
    assert recipe.purpose
    assert recipe.time
    assert recipe.score or recipe.basis == "estimated"
    assert {"competitions", "folds", "transfers"} <= set(recipe.keys)
    for name in recipe.keys["competitions"]:
        assert list(recipe.keys[name]) == SECTIONS
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    use_recipe(capsys, str(file))
    params = paramfile.read_params(Path("params.yaml"))
    alone = recipe.keys | {"seed": params.seed}
    mine = paramfile.validate_params(alone)
    for name in recipe.keys["competitions"]:
        section = mine.section(name)
        assert params.section(name) == section
        is_mask = section.data.task == "segmentation"
        assert section.model.name in (MASK_NAMES if is_mask else LABEL_NAMES)


def test_every_shipped_recipe_fits_a_line_of_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    lines = use_recipe(capsys).splitlines()
    assert max(map(len, lines[:-1])) <= 80  # the last is a path
    listed = [line.split()[0] for line in lines[:-1] if line.startswith("  ")]
    assert sorted(listed) == [file.stem for file in RECIPES]


@pytest.mark.slow
@pytest.mark.parametrize("file", RECIPES[::7], ids=lambda file: file.stem)
def test_any_recipe_can_follow_one_that_transfers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: Path,
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    use_recipe(capsys, str(ROOT / "recipes/banknotes-transfer.yaml"))
    use_recipe(capsys, str(file))
    keys = read_recipe(file).keys
    params = paramfile.read_params(Path("params.yaml"))
    assert params.competitions == keys["competitions"]
    assert [(each.to, each.source) for each in params.transfers] == [
        (each["to"], each["from"]) for each in keys["transfers"]
    ]


def test_recipes_ship() -> None:
    assert len(RECIPES) >= 8 + 30


def test_a_link_stays_one_and_its_file_keeps_its_mode(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = root / "real.yaml"
    (root / "params.yaml").rename(real)
    real.chmod(0o600)
    (root / "params.yaml").symlink_to(real)
    use_recipe(capsys, "cars-fast")
    assert (root / "params.yaml").is_symlink()
    assert "epochs: 3" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_kill_at_the_rename_does_not_widen_the_mode(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "params.yaml").chmod(0o600)
    rename, modes = files.replace, []

    def noted(source: Path, target: Path) -> None:
        rename(source, target)
        modes.append(target.stat().st_mode & 0o777)

    monkeypatch.setattr(files, "replace", noted)
    use_recipe(capsys, "cars-fast")
    assert modes == [0o600]


def test_a_read_only_file_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (root / "params.yaml").read_bytes()
    monkeypatch.setattr("os.access", lambda *_: False)  # root may always
    assert "it may not be written to" in use_recipe(capsys, "cars-fast", code=5)
    assert (root / "params.yaml").read_bytes() == before
