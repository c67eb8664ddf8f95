"""Rules about several keys are checked before anything runs."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.errors import ParamsError
from darkroom.params import file as paramfile
from darkroom.params.rules.lists import method_fault
from darkroom.params.section import OBJECT_METRICS
from darkroom.tasks.metrics.specs import METRICS, get_metric

ROOT = Path(__file__).parents[3]


@pytest.fixture
def raw() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return raw


def _message(raw: dict[str, Any]) -> str:
    with pytest.raises(ParamsError) as caught:
        paramfile.validate_params(raw)
    return str(caught.value)


def test_given_weights_need_an_entry_of_transfers(raw: dict[str, Any]) -> None:
    raw["banknotes"]["model"]["weights"] = "given"
    assert (
        "banknotes.model.weights: found 'given', but transfers has no entry for it; add one: "
        "[{to: banknotes, from: models/...}], or a file"
    ) in _message(raw)


def test_an_entry_of_transfers_gives_first_weights(raw: dict[str, Any]) -> None:
    raw["banknotes"]["model"]["weights"] = "given"
    raw["transfers"] = [{"to": "banknotes", "from": "models/celeba/fold0"}]
    given = paramfile.validate_params(raw).transfer("banknotes")
    assert given is not None
    assert given.source == "models/celeba/fold0"


def test_an_entry_of_transfers_must_be_used(raw: dict[str, Any]) -> None:
    raw["transfers"] = [{"to": "banknotes", "from": "models/celeba/fold0"}]
    assert (
        "banknotes.model.weights: found null, but transfers has an entry for it, which would "
        "not be used; set it to given, or remove the entry"
    ) in _message(raw)


@pytest.mark.parametrize("weights", [None, "given"])
def test_a_section_that_does_not_run_may_keep_its_weights(
    raw: dict[str, Any], weights: str | None
) -> None:
    raw["competitions"] = ["carvana"]
    raw["banknotes"]["model"]["weights"] = weights
    raw["transfers"] = [] if weights else [{"to": "banknotes", "from": "a.pth"}]
    params = paramfile.validate_params(raw)
    assert params.section("banknotes").model.weights == weights
    raw["competitions"] = ["carvana", "banknotes"]
    assert "banknotes.model.weights: found" in _message(raw)


def test_a_transfer_needs_a_receiver_with_no_other_transfer(raw: dict[str, Any]) -> None:
    raw["transfers"] = [
        {"to": "celebs", "from": "a.pth"},
        {"to": "celeba", "from": "a.pth"},
        {"to": "celeba", "from": "b.pth"},
    ]
    message = _message(raw)
    assert "transfers[0].to: 'celebs' has no section; did you mean 'celeba'?" in message
    assert "transfers[2].to: 'celeba' appears twice" in message


def test_first_weights_do_not_come_from_themselves(raw: dict[str, Any]) -> None:
    raw["transfers"] = [{"to": "celeba", "from": "./models/celeba/fold0"}]
    assert "whose models begin with those of celeba themselves" in _message(raw)
    raw["transfers"] = [
        {"to": "celeba", "from": "models/banknotes"},
        {"to": "banknotes", "from": "models/celeba"},
    ]
    message = _message(raw)
    assert "transfers[0].from: found 'models/banknotes', whose models" in message
    assert "transfers[1].from: found 'models/celeba', whose models" in message
    raw["transfers"] = [{"to": "celeba", "from": "models/banknotes"}]
    assert "themselves" not in _message(raw)


def test_unfreezing_needs_frozen_layers_and_an_epoch_of_the_training(raw: dict[str, Any]) -> None:
    raw["celeba"]["train"]["unfreeze_epoch"] = 3
    message = _message(raw)
    assert "celeba.train.unfreeze_epoch: set freeze: backbone first" in message
    raw["celeba"]["train"] |= {"freeze": "backbone", "unfreeze_epoch": 5}
    message = _message(raw)
    assert "celeba.train.unfreeze_epoch: found 5, but the training ends after epoch 4" in message


def test_the_last_epoch_needs_no_patience_and_one_average_is_enough(raw: dict[str, Any]) -> None:
    raw["carvana"]["train"] |= {"select": "last", "patience": 4, "ema": 0.9, "average": 0.25}
    message = _message(raw)
    assert "carvana.train.patience: found 4, but select: last compares no epochs" in message
    assert "carvana.train.average: found 0.25, but ema averages the weights already" in message
    raw["carvana"]["train"] |= {"patience": None, "ema": None}
    paramfile.validate_params(raw)


def test_fold_all_validates_nothing(raw: dict[str, Any]) -> None:
    raw |= {"folds": [0, "all"], "competitions": ["carvana"]}
    raw["carvana"]["train"] |= {"select": "smoothed", "schedule": "plateau"}
    message = _message(raw)
    assert "carvana.train.select: found smoothed, but fold all validates nothing that" in message
    assert "carvana.train.schedule: found plateau, but fold all validates nothing that" in message
    assert "celeba" not in message
    raw["carvana"]["train"] |= {"select": "last", "patience": None, "schedule": "one_cycle"}
    assert paramfile.validate_params(raw).folds == [0, "all"]
    raw["folds"] = ["all"]
    assert "folds: found all alone" in _message(raw)
    raw["folds"] = ["every"]
    assert "folds[0]" in _message(raw)


def test_devices_share_a_batch_equally(raw: dict[str, Any]) -> None:
    raw["carvana"]["train"] |= {"devices": 4, "batch_size": 6}
    assert "carvana.train.batch_size: found 6, which is not divisible by the 4 devices" in _message(
        raw
    )


@pytest.mark.parametrize(
    ("name", "train", "words"),
    [
        ("carvana", {"mixup": 0.2}, "mixup: found 0.2, which does not work for the task segment"),
        ("celeba", {"copy_paste": 0.2}, "copy_paste: found 0.2, which does not work for the task"),
        ("celeba", {"sample": "foreground"}, "sample: found foreground, which does not work for"),
        ("celeba", {"mix_p": 0.5}, "mix_p: found 0.5, but mixup and cutmix are 0"),
        ("celeba", {"mix_until": 0.9}, "mix_until: found 0.9, but mixup, cutmix and copy_paste"),
        ("celeba", {"mixup": 0.2, "batch_size": 1}, "mixup: mixes the images of a batch, but"),
        ("carvana", {"cutmix": 1.0, "devices": 4, "batch_size": 4}, "cutmix: mixes the images of"),
    ],
)
def test_what_is_sampled_and_mixed_suits_the_task(
    raw: dict[str, Any], name: str, train: dict[str, Any], words: str
) -> None:
    raw[name]["train"] |= train
    assert f"{name}.train.{words}" in _message(raw)


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_measures_are_neither_mixed_nor_balanced(raw: dict[str, Any], key: str) -> None:
    celeba = raw["celeba"]
    celeba["data"] |= {"task": "regression", "metric": "rmse"}
    celeba["model"] = {"name": "small_cnn"}
    celeba["train"] |= {key: 0.2, "sample": "balanced"}
    message = _message(raw)
    for words in (f"{key}: found 0.2", "sample: found balanced"):
        assert f"celeba.train.{words}, which does not work for the task regression" in message


@pytest.mark.parametrize(
    ("name", "train"),
    [
        ("carvana", {"cutmix": 1.0, "copy_paste": 0.5, "mix_p": 0.5, "mix_until": 0.9}),
        ("carvana", {"sample": "balanced", "augment": ["flip", "elastic"], "erase": 0.2}),
        ("carvana", {"sample": "foreground", "copy_paste": 0.5, "mix_until": 0.9}),
        ("celeba", {"sample": "balanced", "mixup": 0.2, "cutmix": 1.0, "augment": "trivial"}),
    ],
)
def test_what_suits_the_task_is_taken(
    raw: dict[str, Any], name: str, train: dict[str, Any]
) -> None:
    raw[name]["train"] |= {"batch_size": 4} | train
    section = paramfile.validate_params(raw).section(name).train
    assert {key: getattr(section, key) for key in train} == train


def test_pasting_needs_a_ground(raw: dict[str, Any]) -> None:
    raw["carvana"]["data"]["values"] = {0: "sky", 1: "car"}
    raw["carvana"]["train"]["copy_paste"] = 0.5
    assert "carvana.train.copy_paste: objects are pasted, but data.values gives" in _message(raw)


def test_random_crops_fit_the_stored_images(raw: dict[str, Any]) -> None:
    raw["carvana"]["train"]["crop"] = [128, 192]
    paramfile.validate_params(raw)
    raw["carvana"]["train"]["crop"] = [64, 200]
    assert (
        "carvana.train.crop: found [64, 200], but carvana.preprocess stores images of [128, 192]"
    ) in _message(raw)


@pytest.mark.parametrize(
    ("name", "written", "words"),
    [
        ("banknotes", {"threshold": 0.3}, "threshold: found 0.3, but the task multiclass has none"),
        ("celeba", {"scales": [0.5, 1]}, "scales: is for masks, and the task is multilabel"),
        ("celeba", {"tiles": {"height": 64, "width": 64}}, "tiles: is for masks"),
        ("celeba", {"fill_holes": True}, "fill_holes: is for masks, and the task is multilabel"),
        ("celeba", {"largest": True}, "largest: is for masks, and the task is multilabel"),
        ("banknotes", {"min_area": 9}, "min_area: is for masks, and the task is multiclass"),
        ("carvana", {"separate": True}, "separate: is for metrics that count objects"),
    ],
)
def test_keys_of_evaluate_apply_to_the_task(
    raw: dict[str, Any], name: str, written: dict[str, Any], words: str
) -> None:
    for other in ("carvana", "celeba"):
        raw[other]["evaluate"]["threshold"] = 0.3
    raw["carvana"]["evaluate"] |= {
        "min_area": 20,
        "fill_holes": True,
        "largest": True,
    }
    raw["carvana"]["predict"] |= {"scales": [0.5, 1], "tiles": {"height": 64, "width": 64}}
    paramfile.validate_params(raw)
    section = "predict" if {"scales", "tiles"} & set(written) else "evaluate"
    raw[name][section] |= written
    assert f"{name}.{section}.{words}" in _message(raw)


def test_exclusive_mask_classes_have_no_threshold(raw: dict[str, Any]) -> None:
    raw["carvana"]["data"] |= {"values": {0: "back", 1: "car"}, "row": "{id}_{label}"}
    raw["carvana"]["evaluate"]["threshold"] = "auto"
    paramfile.validate_params(raw)
    raw["carvana"]["evaluate"]["threshold"] = 0.3
    assert "carvana.evaluate.threshold: found 0.3, but of exclusive classes" in _message(raw)


def test_the_source_kaggle_needs_a_name(raw: dict[str, Any]) -> None:
    raw["carvana"]["data"].update(source="kaggle", kaggle=None)
    assert (
        "carvana.data.source: found kaggle, but not what to fetch; set carvana.data.kaggle: "
        "a competition's name as in its address, or owner/name"
    ) in _message(raw)


def test_a_layout_with_addresses_is_fetched_from_them(raw: dict[str, Any]) -> None:
    raw["banknotes"]["data"]["source"] = "kaggle"
    assert (
        "banknotes.data.source: found kaggle, but not what to fetch; set the source to urls"
    ) in _message(raw)
    raw["banknotes"]["data"]["source"] = "urls"
    assert len(paramfile.validate_params(raw).section("banknotes").data.urls) == 6


def test_the_source_urls_needs_files_of_different_names(raw: dict[str, Any]) -> None:
    raw["carvana"]["data"]["source"] = "urls"
    assert (
        "carvana.data.source: found urls, but the list is empty; add carvana.data.urls"
        in _message(raw)
    )
    file = {"url": "https://host.org/a.zip", "name": "train.zip"}
    raw["carvana"]["data"]["urls"] = [file, file]
    assert "carvana.data.urls: two files of the name train.zip" in _message(raw)


URL = "https://host.org/a.zip"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "kaggle",
            "https://www.kaggle.com/c/carvana-image-masking-challenge",
            "kaggle: found 'https://www.kaggle.com/c/carvana-image-masking-challenge' (str); input "
            "should be a competition's name as in its address (carvana-image-masking-challenge)",
        ),
        ("kaggle", "../carvana", "kaggle: found '../carvana' (str); input should be a competition"),
        (
            "urls",
            [{"url": "http://host.org/a.zip", "name": "a.zip"}],
            "urls[0].url: found 'http://host.org/a.zip' (str); input should be an address that "
            "begins with https://",
        ),
        ("urls", [{"url": URL, "name": "../a.zip"}], "should be the file name to save it under"),
        ("urls", [{"url": URL, "name": "a.zip", "sha256": "abc"}], "64 digits, 0-9 a-f, or null"),
    ],
)
def test_kaggle_names_urls_and_digests_have_a_pattern(
    raw: dict[str, Any], key: str, value: object, words: str
) -> None:
    raw["carvana"]["data"][key] = value
    assert words in _message(raw)


def test_the_threshold_is_one_half_unless_it_is_set(raw: dict[str, Any]) -> None:
    """For accuracy and Dice one half: what `auto` chose was never better in docs/ablation.md."""
    for name in ("carvana", "celeba", "banknotes"):
        raw[name]["evaluate"].pop("threshold", None)
        assert paramfile.validate_params(raw).section(name).evaluate.threshold is None
    assert get_metric("dice", "segmentation").threshold == "half"
    assert get_metric("accuracy", "multilabel").threshold == "half"


def test_metrics_of_objects_are_those_that_write_them() -> None:
    writers = {name for name, metric in METRICS.items() if metric.writes == "objects"}
    assert set(OBJECT_METRICS) == writers


def test_a_backbone_is_refused_before_timm_is_imported(raw: dict[str, Any]) -> None:
    raw["celeba"]["model"] = {"name": "timm", "backbone": "convnext_tinny"}
    assert (
        "celeba.model.backbone: timm has no network 'convnext_tinny'; did you mean 'convnext_tiny'"
    ) in _message(raw)
    raw["celeba"]["model"]["backbone"] = "convnext_tiny.in12k_ft_in1k"
    paramfile.validate_params(raw)


def test_an_encoder_and_a_long_name_are_refused_before_anything_runs(raw: dict[str, Any]) -> None:
    raw["carvana"]["model"] = {"name": "fpn", "encoder": "resnet43"}
    assert "carvana.model.encoder: there is no encoder 'resnet43'; did you mean 're" in _message(
        raw
    )
    raw["carvana"]["model"]["encoder"] = "x" * 5000
    message = _message(raw)
    assert "xxx… (str); string should have at most 100 characters" in message
    assert len(message) < 250


def test_a_name_of_timm_in_place_of_a_network_tells_how_to_write_it(raw: dict[str, Any]) -> None:
    raw["celeba"]["model"] = {"name": "convnext_nano"}
    assert (
        "celeba.model.name: found 'convnext_nano', a network of timm: {name: timm, backbone: "
        "convnext_nano}"
    ) in _message(raw)


def test_only_networks_of_timm_have_layers_in_order(raw: dict[str, Any]) -> None:
    raw["celeba"]["train"]["layer_decay"] = 0.75
    assert "celeba.train.layer_decay: is for networks of timm; set celeba.train.rates" in (
        _message(raw)
    )
    raw["celeba"]["model"] = {"name": "timm", "backbone": "convnext_nano"}
    paramfile.validate_params(raw)


def _blended(raw: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return parameters with a blend of two sections, the second a copy of the first."""
    raw["second"] = copy.deepcopy(raw["carvana"])
    raw["competitions"] = ["carvana", "second", "celeba"]
    raw["blends"] = [{"name": "both", "members": ["carvana", "second"], "method": "greedy"}]
    raw["blends"][0] |= changes
    return raw


def test_sections_of_the_same_data_may_be_blended(raw: dict[str, Any]) -> None:
    _blended(raw)["second"]["preprocess"] |= {"height": 64, "width": 96}
    raw["second"]["data"]["source"] = "kaggle"
    blend = paramfile.validate_params(raw).blend("both")
    assert blend is not None
    assert blend.members == ["carvana", "second"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"name": "../src"},
            "name: a blend's name is lower-case letters, digits and _, found '../src'",
        ),
        (
            {"name": "b" * 240},
            f"has at most 100 letters, found 240: '{'b' * 57}…'",
        ),
        *(({"name": word}, "name is none of seed, comp") for word in ("seed", "folds", "all")),
        ({"name": "celeba"}, "name: 'celeba' is the name of another blend or section"),
        ({"members": ["carvana", "secnd"]}, "'secnd' has no section; did you mean 'second'?"),
        ({"members": ["carvana", "banknotes"]}, "'banknotes' is not in competitions"),
        ({"members": ["carvana", "carvana"]}, "members: a section appears twice"),
        ({"members": ["carvana", "celeba"]}, "members: celeba differs from carvana in split.by"),
        ({"method": "rank"}, "rank is for multilabel and binary, and the task is segmentation"),
        ({"method": "stack"}, "method: stack is for multilabel and multiclass and binary and reg"),
    ],
)
def test_what_can_not_be_blended(raw: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    message = _message(_blended(raw, **changes))
    assert "blends[0]." in message
    assert words in message


@pytest.mark.parametrize(
    ("method", "task", "metric", "threshold", "fault"),
    [
        ("rank", "binary", "roc_auc", 0.5, None),
        ("rank", "multilabel", "map@5", None, None),
        ("rank", "multilabel", "macro_f1", None, None),
        ("rank", "binary", "accuracy", "auto", None),
        ("rank", "binary", "metrics/mine.py:score", None, None),
        ("rank", "binary", "log_loss", None,
         "rank gives no probabilities, and the metric is log_loss"),
        ("rank", "multilabel", None, None, "rank gives no probabilities, and a threshold of 0.5 is "
         "one: set evaluate.threshold to auto"),
        ("rank", "multilabel", "macro_f1", 0.3, "rank gives no probabilities, and a threshold of "
         "0.3 is one: set evaluate.threshold to auto"),
        ("stack", "multilabel", "weighted_log_loss", None, None),
        ("mean", "segmentation", None, 0.5, None),
        ("stack", "segmentation", None, 0.5, "stack is for multilabel and multiclass and binary "
         "and regression, and the task is segmentation"),
    ],
)  # fmt: skip
def test_methods_are_for_some_tasks_and_metrics(
    method: str, task: str, metric: str | None, threshold: float | str | None, fault: str | None
) -> None:
    assert method_fault(method, task, metric, threshold) == fault


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("split", "folds", 3, "second differs from carvana in split.folds; members share data"),
        ("data", "metric", "iou", "second differs from carvana in data.metric"),
        ("preprocess", "fit", "pad", "second stores masks with fit pad, and carvana with stretch"),
    ],
)
def test_members_share_data_split_and_fit(
    raw: dict[str, Any], section: str, key: str, value: object, words: str
) -> None:
    _blended(raw)["second"][section][key] = value
    assert words in _message(raw)


def test_two_blends_have_two_names(raw: dict[str, Any]) -> None:
    _blended(raw)["blends"] *= 2
    assert "blends[1].name: 'both' is the name of another blend or section" in _message(raw)


@pytest.fixture
def pair(raw: dict[str, Any]) -> dict[str, Any]:
    """Return parameters of which a second section trains on pseudo-labels of the first."""
    raw["second"] = copy.deepcopy(raw["carvana"])
    raw["idle"] = raw["second"]
    raw["competitions"].append("second")
    source = "data/predictions/carvana"
    raw["pseudo_labels"] = [{"to": "second", "from": source, "confidence": 0.9}]
    return raw


def test_an_entry_of_pseudo_labels_is_that_of_its_section(pair: dict[str, Any]) -> None:
    params = paramfile.validate_params(pair)
    entry = params.pseudo_labels_of("second")
    assert entry is not None
    assert (entry.source, entry.confidence) == ("data/predictions/carvana", 0.9)
    assert params.pseudo_labels_of("carvana") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": "secund"}, "pseudo_labels[0].to: 'secund' has no section; did you mean 'second'?"),
        ({"to": "idle"}, "pseudo_labels[0].to: found 'idle', which does not run; add it to comp"),
        ({"from": "models/carvana"}, "pseudo_labels[0].from: found 'models/carvana'"),
        (
            {"from": "data/predictions/absent"},
            "found 'data/predictions/absent'; no network that runs",
        ),
        ({"from": "data/blends/both"}, "pseudo_labels[0].from: found 'data/blends/both'"),
        ({"from": "data/predictions/second"}, "whose networks wait for those of second themselves"),
        ({"from": "data/predictions/celeba"}, "differs from second in split.by, "),
        ({"confidence": None}, "pseudo_labels[0].confidence: this key is missing; write 0.9, say"),
        ({"confidence": 1.1}, "pseudo_labels[0].confidence: found 1.1"),
    ],
)
def test_pseudo_labels_that_can_t_be(
    pair: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    pair["pseudo_labels"][0] |= changes
    assert words in _message(pair)


def test_pseudo_labels_of_two_sources_or_of_another_fit(pair: dict[str, Any]) -> None:
    pair["pseudo_labels"] *= 2
    pair["second"]["preprocess"]["fit"] = "pad"
    message = _message(pair)
    assert "pseudo_labels[1].to: 'second' appears twice" in message
    assert "stores masks with fit stretch, and second with pad; give both the same" in message


def test_pseudo_labels_in_a_circle(pair: dict[str, Any]) -> None:
    """By the weights of one and the labels of the other."""
    pair["transfers"] = [{"to": "carvana", "from": "models/second"}]
    pair["carvana"]["model"]["weights"] = "given"
    assert "whose networks wait for those of second themselves" in _message(pair)


def test_pseudo_labels_of_networks_that_learned_what_they_validate(pair: dict[str, Any]) -> None:
    """Through them the next network would learn it, too."""
    pair["transfers"] = [{"to": "carvana", "from": "some.pth", "leakage": "allow"}]
    pair["carvana"]["model"]["weights"] = "given"
    assert "carvana has learned images that it validates (leakage: allow)" in _message(pair)


@pytest.mark.parametrize(
    ("name", "confidence", "words"),
    [
        ("celeba", 0.4, "of present and absent the more probable one has 0.5 or more"),
        ("celeba", 0.5, ""),
        ("banknotes", 0.4, ""),
    ],
)
def test_how_little_confidence_may_be(
    raw: dict[str, Any], name: str, confidence: float, words: str
) -> None:
    raw["second"] = copy.deepcopy(raw[name])
    raw["competitions"].append("second")
    source = f"data/predictions/{name}"
    raw["pseudo_labels"] = [{"to": "second", "from": source, "confidence": confidence}]
    if words:
        assert words in _message(raw)
    else:
        paramfile.validate_params(raw)
