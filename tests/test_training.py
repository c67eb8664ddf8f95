"""Training as a whole, on tiny drawn data: it learns, repeats itself, and stops with a word."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from darkroom.errors import DataError, ParamsError, ResourceError
from darkroom.models import build
from darkroom.store import Store
from darkroom.training import FitResult, fit, leaves_one
from tests.drawn import batches, colours, discs


def train(store: Store, folder: Path, net: nn.Module | None = None, **changes: Any) -> FitResult:
    targets = changes.pop("targets", None)
    options: dict[str, Any] = {
        "task": "segmentation",
        "epochs": 2,
        "lr": 0.03,
        "weight_decay": 0.01,
        "patience": 9,
        "seed": 1,
        "accelerator": "cpu",
        "pictures": 0,
        "log_dir": folder / "runs",
        "work_dir": folder / "work",
    } | changes
    net = net or build("unet", outputs=1, seed=options["seed"], width=4, depth=2)
    last = len(store) - 4
    learn = batches(store, targets, rows=range(last), seed=options["seed"])
    return fit(net, learn, batches(store, targets, rows=range(last, len(store))), **options)


def digest(net: nn.Module) -> str:
    values = [t.detach().numpy().tobytes() for t in net.state_dict().values()]
    return hashlib.sha256(b"".join(values)).hexdigest()


def test_a_disc_is_learnt(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = train(discs(tmp_path / "d", 36), tmp_path, epochs=5, pictures=3)
    assert result.best["dice/val"] > 0.9
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4, 5]
    assert result.history[0]["loss/train"] > 2 * result.history[-1]["loss/train"]
    assert result.best == max(result.history, key=lambda row: row["dice/val"])
    assert not result.net.training
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 5, "a line an epoch and nothing else"
    assert lines[0].startswith("epoch 1/5  loss ")
    assert lines[0].endswith(" img/s  best")
    _check_charts(tmp_path, result)


def _check_charts(tmp_path: Path, result: FitResult) -> None:
    events = EventAccumulator(str(tmp_path / "runs"), size_guidance={"images": 0}).Reload()
    assert sorted(events.Tags()["scalars"]) == [
        "dice/train",
        "dice/val",
        "learning rate",
        "loss/train",
        "loss/val",
    ]
    drawn = [(event.step, event.value) for event in events.Scalars("dice/val")]
    assert drawn == [(row["epoch"], pytest.approx(row["dice/val"])) for row in result.history]
    assert [picture.step for picture in events.Images("predictions")] == [1, 2, 3, 4, 5]
    assert "_hparams_/experiment" in events.PluginTagToContent("hparams")
    left = {p.name.split(".")[0] for p in (tmp_path / "runs").iterdir()}
    assert left == {"events", "hparams"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "runs"], "nothing elsewhere"


def test_colours_are_told_apart(tmp_path: Path) -> None:
    store = colours(tmp_path / "c", 28)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    classes = np.arange(28) % 3
    result = train(
        store, tmp_path, net, targets=classes, task="multiclass", lr=0.1, epochs=3, pictures=2
    )
    assert result.best["accuracy/val"] == 1.0


def test_same_seed_same_bits_other_seed_others(tmp_path: Path) -> None:
    store = discs(tmp_path / "d", 16)
    runs = {
        name: train(store, tmp_path / name, seed=seed)
        for name, seed in zip("abc", (1, 1, 2), strict=True)
    }
    assert digest(runs["a"].net) == digest(runs["b"].net)
    assert runs["a"].history == runs["b"].history
    assert digest(runs["a"].net) != digest(runs["c"].net)
    assert not torch.are_deterministic_algorithms_enabled(), "left as it was"


def test_the_epoch_reaches_the_sampler(tmp_path: Path) -> None:
    store = discs(tmp_path / "d", 12)
    seen: list[list[str]] = [[], [], []]

    def note(image: Any, mask: Any, seed: int) -> Any:
        seen[learn.sampler.epoch].append(str(seed))  # type: ignore[attr-defined]
        return image, mask

    learn = batches(store, rows=range(8), seed=3, augment=note)
    learn.set_epoch(2)  # stale, as a second training with one loader would find it
    net = build("unet", outputs=1, seed=1, width=2, depth=1)
    options: dict[str, Any] = {"log_dir": tmp_path / "r", "work_dir": tmp_path / "w", "pictures": 0}
    fit(
        net,
        learn,
        batches(store, rows=range(8, 12)),
        task="segmentation",
        epochs=3,
        lr=0.01,
        weight_decay=0.0,
        patience=9,
        seed=1,
        accelerator="cpu",
        **options,
    )
    assert [len(seeds) for seeds in seen] == [8, 8, 8]
    assert len({seed for seeds in seen for seed in seeds}) == 24, "each epoch augments anew"


def test_patience_stops_and_the_best_weights_come_back(tmp_path: Path) -> None:
    store = colours(tmp_path / "c", 8)
    # No rate to speak of: nothing gets better after batch norm has settled.
    net = build("resnet18", outputs=3, seed=1, freeze="backbone")
    result = train(
        store,
        tmp_path,
        net,
        targets=np.arange(8) % 3,
        task="multiclass",
        lr=1e-30,
        epochs=9,
        patience=2,
    )
    assert len(result.history) == 3
    assert result.best["epoch"] == 1


def test_a_loss_that_runs_off_names_epoch_and_batch(tmp_path: Path) -> None:
    store = discs(tmp_path / "d", 8)
    net = build("unet", outputs=1, seed=1, width=2, depth=1)
    with torch.no_grad():
        net.get_parameter("outc.conv.bias").fill_(float("inf"))
    with pytest.raises(ParamsError, match="not a finite number in epoch 1") as caught:
        train(store, tmp_path, net)
    assert "a batch of 00" in str(caught.value)
    assert "a lower learning rate than 0.03" in str(caught.value)


def test_no_images_to_validate_with(tmp_path: Path) -> None:
    store = discs(tmp_path / "d", 4)
    net = build("unet", outputs=1, seed=1, width=2, depth=1)
    with pytest.raises(DataError, match="there are no images to validate with"):
        fit(
            net,
            batches(store, seed=1),
            batches(store, rows=[]),
            task="segmentation",
            epochs=1,
            lr=0.1,
            weight_decay=0,
            patience=1,
            seed=1,
            log_dir=tmp_path / "r",
            work_dir=tmp_path / "w",
        )


def test_one_step_of_training_is_enough(tmp_path: Path) -> None:
    result = train(discs(tmp_path / "d", 6), tmp_path, epochs=1)
    assert len(result.history) == 1


@pytest.mark.parametrize(
    ("images", "size", "one"),
    [(9, 4, True), (8, 4, False), (10, 4, False), (1, 4, False), (5, 1, False)],
)
def test_leaves_one(images: int, size: int, one: bool) -> None:
    assert leaves_one(images, size) is one


@pytest.mark.parametrize("count", [5, 9])
def test_a_single_value_for_batch_norm_is_told_with_the_parameters(
    tmp_path: Path, count: int
) -> None:
    store = discs(tmp_path / "d", count)  # the last four validate
    net = build("unet", outputs=1, seed=1, width=2, depth=5)  # 32 px shrink to one
    with pytest.raises(ParamsError, match="batch norm needs two values or more") as caught:
        train(store, tmp_path, net, epochs=1)
    assert "got input size torch.Size([1, 64, 1, 1])" in str(caught.value)
    assert "raise train.batch_size, or preprocess.height and width, or lower model.depth" in str(
        caught.value
    )


def test_too_little_memory_is_told_with_what_to_lower(tmp_path: Path) -> None:
    class Greedy(nn.Conv2d):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) + torch.empty(1 << 50)

    with pytest.raises(ResourceError, match="there is not enough memory to train") as caught:
        train(discs(tmp_path / "d", 8), tmp_path, Greedy(3, 1, 1))
    assert "can't allocate memory" in str(caught.value)
    assert "to do: lower train.batch_size, or preprocess.height and width" in str(caught.value)
