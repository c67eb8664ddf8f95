"""Results that do not belong together are refused, not mixed."""

import json
import shutil
from typing import Any

import pytest
from safetensors.torch import save_file

from darkroom.cli import main
from darkroom.models.build import build_network
from darkroom.project.checked_json import write_json
from tests.support import tiny
from tests.support.damage import Project


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main.main(list(words)) == 6
    return capsys.readouterr().err


def test_a_model_of_another_split_is_not_evaluated(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project("masks")
    tiny.edit(root, lambda params: params.update(seed=8))
    tiny.run("split")
    text = _refused(capsys, "predict", "tiny")
    assert "this model was trained for another split_sha256" in text
    assert "run `dvc repro train@tiny-0`" in text


def test_a_model_of_another_fold_is_not_used(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project("masks")
    shutil.copytree(root / "models/tiny/fold0", root / "models/tiny/fold1")
    tiny.edit(root, lambda params: params.update(folds=[0, 1]))
    text = _refused(capsys, "predict", "tiny", "--fold", "1")
    assert "fold1: this model was trained for another fold" in text
    assert "found: 0" in text


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("train", "lr", 0.02, "train.lr: 0.01 in the model, 0.02 in params.yaml"),
        ("train", "loss", {"bce": 1}, "train.loss"),
        ("model", "width", 8, "model.width: 4 in the model, 8 in params.yaml"),
        (None, "seed", 8, "seed: 7 in the model, 8 in params.yaml"),
    ],
)
def test_a_model_of_other_parameters_is_not_used(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    section: str | None,
    key: str,
    value: object,
    words: str,
) -> None:
    root = project("masks")
    before = (root / "params.yaml").read_bytes()

    def change(params: dict[str, Any]) -> None:
        keys = params["tiny"][section] if section else params
        assert keys.get(key) != value
        keys[key] = value

    tiny.edit(root, change)
    text = _refused(capsys, "predict", "tiny")
    assert "fold0: this model was trained with other parameters\n" in text
    assert words in text
    assert "run `dvc repro -sf train@tiny-0`" in text
    for verb in ("evaluate", "submission"):
        text = _refused(capsys, verb, "tiny")
        assert "fold0.arrow: these predictions were made with other parameters\n" in text
        assert words.replace(" in the model", " in the predictions") in text
    (root / "params.yaml").write_bytes(before)
    tiny.edit(root, lambda params: params["tiny"]["train"].update(checkpoint_steps=5, workers=1))
    for verb in ("predict", "evaluate", "submission"):
        assert main.main([verb, "tiny"]) == 0


def test_a_submission_that_was_not_predicted_is_not_right(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project("masks")
    facts = root / "submissions/tiny.json"
    card = json.loads(facts.read_text())
    del card["checksum"]
    write_json(facts, card | {"sha256": "0" * 64})
    text = _refused(capsys, "check", "tiny")
    assert "it is not the file that was written" in text
    assert f"expected: sha256 {'0' * 64}" in text
    facts.write_text("{")
    assert "tiny.json: it is damaged" in _refused(capsys, "check", "tiny")


def test_the_weights_that_training_began_with_are_part_of_the_fingerprint(
    project: Project,
) -> None:
    root = project("multiclass")
    tiny.run("preprocess", "audit")

    def begin(params: dict[str, Any]) -> None:
        params["transfers"] = [{"to": "tiny", "from": "begin.safetensors"}]
        params["tiny"]["model"]["weights"] = "given"

    tiny.edit(root, begin)
    fingerprints = []
    for seed in (1, 2):
        net = build_network("small_cnn", outputs=3, seed=seed, width=4, depth=2)
        save_file(net.state_dict(), root / "begin.safetensors")
        tiny.run("transfer", "train")
        card = json.loads((root / "models/tiny/fold0/model.json").read_text())
        assert card["model"]["weights"] == "given"
        fingerprints.append(card["fingerprint"])
    assert fingerprints[0] != fingerprints[1]


def test_a_source_folder_in_the_place_of_raw_files_is_kept(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project("masks")
    mine = root / "data/raw/tiny/mine.zip"
    mine.write_bytes(b"dear to me")
    capsys.readouterr()
    assert main.main(["fetch", "tiny"]) == 3
    assert "mine.zip" in capsys.readouterr().err
    assert mine.read_bytes() == b"dear to me"


def test_a_decision_on_the_predictions_of_other_networks_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """A threshold, a temperature and grades fit the networks that they were chosen for."""
    root = project("multiclass")
    tiny.run("preprocess", "train", "predict", "evaluate", "submission")
    before = (root / "submissions/tiny.csv.gz").read_bytes()
    tiny.edit(root, lambda params: params["tiny"]["train"].update(lr=0.02))
    tiny.run("train", "predict")
    text = _refused(capsys, "submission", "tiny")
    assert "chosen on the predictions of other networks" in text
    assert (root / "submissions/tiny.csv.gz").read_bytes() == before
    tiny.run("evaluate", "submission")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("height", 48, "tiny.preprocess.height: 32 in the shards, 48 in params.yaml"),
        ("fit", "stretch", "tiny.preprocess.fit: pad in the shards, stretch in params.yaml"),
        ("store", "jpeg", "tiny.preprocess.store: raw in the shards, jpeg in params.yaml"),
    ],
)
def test_images_of_an_earlier_preprocess_are_not_learned(
    project: Project, capsys: pytest.CaptureFixture[str], key: str, value: object, words: str
) -> None:
    root = project("masks")
    tiny.edit(root, lambda params: params["tiny"]["preprocess"].update({key: value}))
    for command in (["train"], ["train", "--check"], ["train", "--overfit"], ["lr"], ["predict"]):
        text = _refused(capsys, command[0], "tiny", *command[1:])
        assert words in text
        assert "to do: run `dvc repro preprocess@tiny`" in text
