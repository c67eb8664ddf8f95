"""Options that the task or the batch size does not support are refused before training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from darkroom.errors import DataError, ParamsError
from darkroom.index.card import Card
from darkroom.params.competition import Competition
from darkroom.params.model import SmallCnn, UNet
from darkroom.params.train import Train
from darkroom.stages import _train_args
from darkroom.stages._sampling import train_masks
from darkroom.store.loader import BatchDataset
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, shard_name, write_shard
from darkroom.tasks.losses.build import WeightedLoss
from tests.support.drawn import discs


def section(model: Any = None, **train: Any) -> Competition:
    plain: dict[str, Any] = {"epochs": 1, "batch_size": 4, "lr": 0.1}
    parts: Any = {"model": model or SmallCnn(name="small_cnn"), "train": Train(**plain | train)}
    return Competition.model_construct(**parts)


def test_a_network_for_masks_does_not_fit_labels() -> None:
    _train_args.check_choices(section(UNet(name="unet")), "segmentation")
    with pytest.raises(ParamsError, match="unet does not fit the task multiclass"):
        _train_args.check_choices(section(UNet(name="unet")), "multiclass")


def test_an_output_is_for_regression_only() -> None:
    softplus = SmallCnn(name="small_cnn", output="softplus")
    _train_args.check_choices(section(softplus), "regression")
    with pytest.raises(ParamsError, match=r"model\.output is for regression only"):
        _train_args.check_choices(section(softplus), "binary")


def test_an_error_of_a_part_names_the_file_of_parameters() -> None:
    with (
        pytest.raises(ParamsError, match=r"^params\.yaml: there is no optimizer\n  found: adm$"),
        _train_args.errors_name_the_file(),
    ):
        raise ParamsError("there is no optimizer", found="adm")
    with (
        pytest.raises(ParamsError, match=r"^params\.yaml: wrong$"),
        _train_args.errors_name_the_file(),
    ):
        raise ParamsError("wrong", file="params.yaml")


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on fewer cores
@pytest.mark.parametrize(("workers", "validation"), [(0, 0), (1, 1), (4, 1), (8, 2), (9, 3)])
def test_validation_has_a_quarter_of_the_loader_processes(
    tmp_path: Path, workers: int, validation: int
) -> None:
    """They had as many as training, and sat idle while it learned."""
    store = discs(tmp_path, 4)
    train = Train(epochs=1, batch_size=2, lr=0.1, workers=workers)
    loaders = _train_args.train_loaders(store, [0, 1], [2, 3], None, train, Card("segmentation"), 1)
    assert [each.num_workers for each in loaders] == [workers, validation]


@pytest.mark.parametrize(
    ("choices", "changes"),
    [
        ({"augment": "none"}, False),
        ({"augment": []}, False),
        ({"augment": "flip"}, True),
        ({"augment": "none", "erase": 0.5}, True),
        ({"augment": "none", "crop": [8, 8]}, True),
        ({"augment": "none", "copy_paste": 0.5}, True),
    ],
    ids=str,
)
def test_pictures_that_nothing_changes_are_not_augmented(
    tmp_path: Path, choices: dict[str, Any], changes: bool
) -> None:
    train = Train(epochs=1, batch_size=2, lr=0.1, workers=0, **choices)
    card = Card("segmentation", classes=("disc",))
    first, second = _train_args.train_loaders(
        discs(tmp_path, 4), [0, 1], [2, 3], None, train, card, 1
    )
    assert isinstance(first.dataset, BatchDataset)
    assert isinstance(second.dataset, BatchDataset)
    assert (first.dataset.augment is not None) == changes
    assert second.dataset.augment is None


def test_the_metric_of_the_judge_compares_epochs() -> None:
    truth = np.array([[1.0], [0.0]], np.float32)
    assert _train_args.epoch_metric(Card("binary", ("y",)), truth) is None, "the task's own"
    assert _train_args.epoch_metric(Card("binary", ("y",), metric="accuracy"), truth) is None
    metric = _train_args.epoch_metric(Card("binary", ("y",), metric="roc_auc"), truth)
    assert metric is not None
    assert (metric.name, metric.best) == ("roc_auc", "max")
    masks = _train_args.epoch_metric(Card("segmentation", metric="mean_iou"), None)
    assert masks is not None
    assert _train_args.epoch_metric(Card("segmentation", metric="f2_iou"), None) is None


def test_what_the_truth_does_not_allow_is_refused_before_an_epoch_is_trained() -> None:
    with pytest.raises(DataError, match="roc_auc is not defined on the validation images"):
        _train_args.epoch_metric(
            Card("binary", ("y",), metric="roc_auc"), np.ones((3, 1), np.float32)
        )
    weighted = Card("multilabel", ("any", "some"), metric="weighted_log_loss", weights={"amy": 2})
    with pytest.raises(ParamsError, match=r"no such label or target(?s:.*)did you mean any"):
        _train_args.epoch_metric(weighted, np.ones((3, 2), np.float32))


def test_a_fold_that_knows_nothing_of_a_target_is_refused_by_name() -> None:
    card = Card("regression", ("width", "depth"))
    targets = np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)
    _train_args.require_known(targets, card, 1)
    _train_args.require_known(None, card, 1)
    _train_args.require_known(np.array([0, 1]), Card("multiclass", ("y",)), 1)
    with pytest.raises(DataError, match=r"^fold 1 can't be trained: .* known value of depth\n"):
        _train_args.require_known(targets[:1], card, 1)


def test_the_share_of_known_targets() -> None:
    assert _train_args.known_share(np.array([[1.0, np.nan], [0.0, 1.0]])) == 0.75
    assert _train_args.known_share(np.array([[1.0]])) is None
    assert _train_args.known_share(np.array([1, 2])) is None


def test_mask_classes_are_balanced_by_the_images_learned_from(tmp_path: Path) -> None:
    masks = np.zeros((20, 3, 4, 5), np.uint8)
    masks[:, 0, :2] = 1  # half of each image
    masks[3, 1, 0, :2] = 1  # a tenth of one
    masks[:, 2] = 1  # unknown, which is no class
    image = pack_image(np.zeros((4, 5, 3), np.uint8), "raw", 95)
    rows = [StoredImage(str(n), image, pack_mask(mask), 4, 5) for n, mask in enumerate(masks)]
    format = ShardFormat(4, 5, "stretch", "raw", planes=3)
    write_shard(tmp_path / shard_name("train", 0), rows, format)
    values = ((1, "road"), (2, "car"), (255, None))
    card = Card("segmentation", ("road", "car"), header=("id", "rle"), values=values, unknown=True)
    train = Train(epochs=1, batch_size=2, lr=0.1, class_weights="balanced")
    batches = train_masks(Store(tmp_path, "train"), [3, *range(4, 20)])
    loss = _train_args.train_loss(train, card, None, None, batches)
    assert isinstance(loss, WeightedLoss)
    assert loss.per_output is not None
    assert loss.per_output.tolist() == pytest.approx([0.3 / 0.5, 0.3 / 0.1])
    logits, targets = torch.zeros(2, 3, 4, 5), torch.from_numpy(masks[:2])
    assert float(loss(logits, targets)) == 0, "nothing of these is known"
