"""Training as a whole, on tiny synthetic data: it learns, is repeatable, and reports errors."""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from darkroom.errors import DataError, ParamsError, ResourceError
from darkroom.models.build import MEAN, STD, build_network, normalise
from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch
from darkroom.store.store import Store
from darkroom.tasks.losses.build import build_loss
from darkroom.tasks.metrics.epochs import EpochMetric
from darkroom.tasks.metrics.specs import get_metric
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult, Objective, fit, leaves_one
from darkroom.training.loop import Loop
from darkroom.training.tensorboard.scalars import Scalars
from darkroom.training.tensorboard.writer import EventWriter
from tests.support.drawn import batches, colours, discs
from tests.support.interrupted import Interrupt, Killed


def train(
    store: Store,
    folder: Path,
    net: nn.Module | None = None,
    *,
    targets: NDArray[Any] | None = None,
    seed: int = 1,
    callbacks: Sequence[Callback] = (),
    task: str = "segmentation",
    metric: EpochMetric | None = None,
    loss: nn.Module | None = None,
    gaps: bool = False,
    **config: Any,
) -> FitResult:
    net = net or build_network("unet", outputs=1, seed=seed, width=4, depth=2)
    last = len(store) - 4
    usual: dict[str, Any] = {"epochs": 2, "lr": 0.03, "patience": 9, "accelerator": "cpu"}
    return fit(
        net,
        batches(store, targets, rows=range(last), seed=seed),
        batches(store, targets, rows=range(last, len(store))),
        FitConfig(**usual | config),
        objective=Objective(task, loss, metric=metric, gaps=gaps),
        seed=seed,
        work_dir=folder / "work",
        callbacks=callbacks,
    )


def digest(net: nn.Module) -> str:
    values = [t.detach().numpy().tobytes() for t in net.state_dict().values()]
    return hashlib.sha256(b"".join(values)).hexdigest()


def test_discs_are_segmented(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    events = EventWriter(tmp_path / "runs")
    result = train(
        discs(tmp_path / "d", 36), tmp_path, epochs=5, callbacks=[events, Scalars(events)]
    )
    assert result.selected["dice/val"] > 0.9
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4, 5]
    assert result.history[0]["loss/train"] > 2 * result.history[-1]["loss/train"]
    assert result.selected == max(result.history, key=lambda row: row["dice/val"])
    assert not result.net.training
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 5, "a line an epoch and nothing else"
    assert lines[0].startswith("epoch 1/5  loss ")
    assert lines[0].endswith(" img/s  best")
    _check_charts(tmp_path, result)


def _check_charts(tmp_path: Path, result: FitResult) -> None:
    events = EventAccumulator(str(tmp_path / "runs")).Reload()
    drawn = [(event.step, event.value) for event in events.Scalars("dice/val")]
    batches_seen = [8 * row["epoch"] for row in result.history]
    values = [pytest.approx(row["dice/val"]) for row in result.history]
    assert drawn == list(zip(batches_seen, values, strict=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "runs", "work"], "nothing elsewhere"
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["training.ckpt"]


def test_colours_are_classified(tmp_path: Path) -> None:
    store = colours(tmp_path / "c", 28)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    classes = np.arange(28) % 3
    result = train(store, tmp_path, net, targets=classes, task="multiclass", lr=0.1, epochs=3)
    assert result.selected["accuracy/val"] == 1.0


def test_the_metric_of_the_judge_chooses_the_epoch(tmp_path: Path) -> None:
    store = colours(tmp_path / "c", 28)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    metric = EpochMetric(get_metric("log_loss", "multiclass"), "multiclass")
    classes = np.arange(28) % 3
    config: dict[str, Any] = {"task": "multiclass", "lr": 1.0, "epochs": 4}
    result = train(store, tmp_path, net, targets=classes, metric=metric, **config)
    assert list(result.history[0])[:2] == ["epoch", "log_loss/val"]
    assert result.selected == min(result.history, key=lambda row: row["log_loss/val"])
    # The same cross-entropy that is learned, of all validation images at once.
    for row in result.history:
        assert row["log_loss/val"] == pytest.approx(row["loss/val"], rel=1e-4)


def test_unknown_labels_are_left_out_of_a_training(tmp_path: Path) -> None:
    store = colours(tmp_path / "c", 28)
    labels = np.eye(3, dtype=np.float32)[np.arange(28) % 3]
    labels[::2, 0] = np.nan
    labels[1::4, 2] = np.nan

    def run(name: str, targets: NDArray[np.float32]) -> FitResult:
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
        )
        return train(
            store,
            tmp_path / name,
            net,
            targets=targets,
            task="multilabel",
            loss=build_loss("multilabel", known_share=float(1 - np.isnan(labels).mean())),
            gaps=True,
            metric=EpochMetric(get_metric("macro_f1", "multilabel"), "multilabel"),
            lr=0.1,
            epochs=3,
        )

    result = run("a", labels)
    assert result.selected["macro_f1/val"] == 1
    assert all(np.isfinite(value) for row in result.history for value in row.values())


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

    def note(image: Any, mask: Any, seed: int, _foreground: bool = False) -> Any:
        seen[learn.sampler.epoch].append(str(seed))
        return image, mask

    learn = batches(store, rows=range(8), seed=3, augment=note)
    learn.start(2)  # stale, as a second training with one loader would find it
    net = build_network("unet", outputs=1, seed=1, width=2, depth=1)
    fit(
        net,
        learn,
        batches(store, rows=range(8, 12)),
        FitConfig(epochs=3, lr=0.01, accelerator="cpu"),
        objective=Objective("segmentation"),
        seed=1,
        work_dir=tmp_path / "w",
    )
    assert [len(seeds) for seeds in seen] == [8, 8, 8]
    assert len({seed for seeds in seen for seed in seeds}) == 24, "each epoch augments anew"


def test_patience_stops_and_the_best_weights_come_back(tmp_path: Path) -> None:
    store = colours(tmp_path / "c", 8)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    result = train(
        store,
        tmp_path,
        net,
        targets=np.arange(8) % 3,
        task="multiclass",
        lr=1e-30,  # no rate to speak of: nothing gets better
        epochs=9,
        patience=2,
    )
    assert len(result.history) == 3
    assert result.selected["epoch"] == 1


def test_a_loss_that_is_not_finite_names_epoch_and_batch(tmp_path: Path) -> None:
    store = discs(tmp_path / "d", 8)
    net = build_network("unet", outputs=1, seed=1, width=2, depth=1)
    with torch.no_grad():
        net.get_parameter("outc.conv.bias").fill_(float("inf"))
    with pytest.raises(ParamsError, match="not a finite number in epoch 1") as caught:
        train(store, tmp_path, net)
    assert "a batch of 00" in str(caught.value)
    assert "a lower learning rate than 0.03" in str(caught.value)


def test_no_images_to_validate_with(tmp_path: Path) -> None:
    store = discs(tmp_path / "d", 4)
    net = build_network("unet", outputs=1, seed=1, width=2, depth=1)
    with pytest.raises(DataError, match="there are no images to validate with"):
        fit(
            net,
            batches(store, seed=1),
            batches(store, rows=[]),
            FitConfig(epochs=1, lr=0.1, accelerator="cpu"),
            objective=Objective("segmentation"),
            seed=1,
            work_dir=tmp_path / "w",
        )


def test_a_training_may_have_a_single_step(tmp_path: Path) -> None:
    result = train(discs(tmp_path / "d", 6), tmp_path, epochs=1)
    assert len(result.history) == 1


def test_too_little_memory_is_an_error_that_names_what_to_lower(tmp_path: Path) -> None:
    class Greedy(nn.Conv2d):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) + torch.empty(1 << 50)

    with pytest.raises(ResourceError, match="there is not enough memory to train") as caught:
        train(discs(tmp_path / "d", 8), tmp_path, Greedy(3, 1, 1))
    assert "can't allocate memory" in str(caught.value)
    assert "to do: lower train.batch_size, or preprocess.height and width" in str(caught.value)


def test_the_usual_training_keeps_its_bits(tmp_path: Path) -> None:
    """Of a step: AdamW, one cycle, no accumulation; as a loop of twenty lines makes them."""
    store = discs(tmp_path / "d", 12)
    result = train(store, tmp_path, epochs=2)
    net = build_network("unet", outputs=1, seed=1, width=4, depth=2)
    net = net.train().to(memory_format=torch.channels_last)
    layers = [p for p in net.parameters() if p.ndim > 1]
    norms = [p for p in net.parameters() if p.ndim < 2]
    groups = [{"params": layers, "weight_decay": 0.01}, {"params": norms, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, 0.03, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=4)
    learn = batches(store, rows=range(8), seed=1)
    seen: list[float] = []
    for epoch in range(2):
        learn.start(epoch)
        for batch in learn:
            assert batch.targets is not None
            optimizer.zero_grad()
            logits = net(normalise(batch.images, MEAN, STD))
            loss = build_loss("segmentation")(logits, batch.targets)
            torch.autograd.backward(loss)
            optimizer.step()
            cycle.step()
            seen.append(loss.item())
    rows = result.history
    assert [row["loss/train"] for row in rows] == [sum(seen[:2]) / 2, sum(seen[2:]) / 2]
    assert result.selected["epoch"] == 2, "so that these are the last weights"
    assert digest(result.net) == digest(net)


@settings(max_examples=8)
@given(batch_size=st.integers(2, 9), accumulate=st.integers(2, 6))
def test_accumulation_weighs_images_alike(batch_size: int, accumulate: int) -> None:
    """4 + 4 + 2 images make the step of 10, in which the last two do not weigh double."""

    def weights(folder: Path, batch_size: int, accumulate: int) -> torch.Tensor:
        torch.manual_seed(3)
        net = nn.Conv2d(3, 1, 1)
        store = discs(folder / "d", 10)
        config = FitConfig(
            epochs=1,
            lr=0.5,
            optimizer="sgd",
            momentum=0,
            schedule="constant",
            accelerator="cpu",
            accumulate=accumulate,
        )
        fit(
            net,
            batches(store, seed=1, batch_size=batch_size),
            batches(store, rows=[0], batch_size=1),
            config,
            objective=Objective("segmentation"),
            seed=1,
            work_dir=folder / "w",
        )
        return net.weight.detach().flatten()

    steps = -(-10 // (batch_size * accumulate))
    if steps > 1:  # as many images a step, in batches of one
        whole, size = batch_size * accumulate, 1
    else:
        whole, size = 1, 10
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        in_parts = weights(Path(one), batch_size, accumulate)
        at_once = weights(Path(other), size, whole)
    torch.testing.assert_close(in_parts, at_once, rtol=1e-4, atol=1e-6)


def test_the_best_epoch_is_chosen_over_targets_in_their_own_spreads(tmp_path: Path) -> None:
    """In raw units a price of thousands hid whether an age was right at all."""
    store = colours(tmp_path / "c", 8)
    ages, prices = np.arange(8) * 10.0, np.arange(8) * 10000.0
    targets = np.stack([ages, prices], axis=1).astype(np.float32)
    answers = iter(
        [
            [[35.0, 35000.0], [35.0, 35000.0]],  # of training, and of its validation
            [[55.0, 53000.0], [55.0, 53000.0]],  # both near the four validated: 40 to 70
            [[5.0, 55000.0], [5.0, 55000.0]],  # only the price
        ]
    )

    class Answers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.zero = nn.Linear(1, 1)
            self.answers: list[list[float]] = []

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.answers = self.answers or next(answers)
            answer = torch.tensor(self.answers.pop(0)).repeat(len(images), 1)
            return answer + 0 * self.zero.weight

    spread = targets[:4].std(axis=0).tolist()
    net = Answers()
    result = fit(
        net,
        batches(store, targets, rows=range(4), batch_size=4, seed=1),
        batches(store, targets, rows=range(4, 8), batch_size=4),
        FitConfig(epochs=3, lr=0.1, accelerator="cpu"),
        objective=Objective("regression", scale=spread),
        seed=1,
        work_dir=tmp_path / "w",
    )
    assert result.selected["epoch"] == 2
    errors = (np.array([55.0, 53000.0]) - targets[4:]) / spread
    assert result.selected["nrmse/val"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert result.selected["nmae/val"] == pytest.approx(np.abs(errors).mean())


def test_a_loss_that_is_not_finite_leaves_the_last_finite_checkpoint(tmp_path: Path) -> None:
    class SetNan(Callback):
        def on_batch_start(self, loop: Loop, batch: Batch) -> None:  # noqa: ARG002
            if (loop.epoch, loop.batch) == (1, 1):
                with torch.no_grad():
                    next(loop.module.net.parameters()).fill_(float("nan"))

    store = discs(tmp_path / "d", 16)
    with pytest.raises(ParamsError, match="not a finite number in epoch 2") as caught:
        train(store, tmp_path, callbacks=[SetNan()], checkpoint_steps=1)
    file = tmp_path / "work/training.ckpt"
    assert f"the last finite weights are in {file}" in str(caught.value)
    kept = torch.load(file, weights_only=True)
    assert (kept["epoch"], kept["batch"]) == (1, 1)
    assert all(t.isfinite().all() for t in kept["net"].values())


def test_a_frozen_backbone_does_not_change_until_it_is_unfrozen(tmp_path: Path) -> None:
    store = discs(tmp_path / "d", 12)
    weights: list[dict[str, torch.Tensor]] = []

    class RecordWeights(Callback):
        def on_epoch_end(self, loop: Loop) -> None:
            state = loop.module.net.state_dict()
            weights.append({name: t.clone() for name, t in state.items()})

    first = build_network("unet", outputs=1, seed=1, width=4, depth=2).state_dict()
    train(
        store, tmp_path, epochs=2, freeze="backbone", unfreeze_epoch=2, callbacks=[RecordWeights()]
    )
    backbone = [name for name in first if name.startswith(("inc", "down"))]
    assert any("running_mean" in name for name in backbone), "batch norm is frozen too"
    assert all(torch.equal(weights[0][name], first[name]) for name in backbone)
    head = [name for name in first if name not in backbone]
    assert not all(torch.equal(weights[0][name], first[name]) for name in head)
    assert not any(torch.equal(weights[1][name], first[name]) for name in backbone)


@pytest.mark.slow
def test_compiled_weights_have_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, compile_ = discs(tmp_path / "d", 8), torch.compile
    monkeypatch.setattr(torch, "compile", lambda net, **_: compile_(net, backend="eager"))
    plain = train(store, tmp_path / "a", epochs=1)
    compiled = train(store, tmp_path / "b", epochs=1, compile=True)
    assert list(compiled.net.state_dict()) == list(plain.net.state_dict())
    kept = torch.load(tmp_path / "b/work/training.ckpt", weights_only=True)
    assert list(kept["net"]) == list(plain.net.state_dict())
    assert compiled.selected["loss/val"] == pytest.approx(plain.selected["loss/val"], rel=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_precision(tmp_path: Path, precision: str) -> None:
    kinds = []

    class Layer(nn.Conv2d):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found = super().forward(images)
            kinds.append(found.dtype)
            return found

    train(discs(tmp_path / "d", 8), tmp_path, Layer(3, 1, 1), precision=precision)
    assert set(kinds) == {torch.float32 if precision == "float32" else torch.bfloat16}


def test_fp16_needs_cuda(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="fp16 needs an NVIDIA GPU"):
        train(discs(tmp_path / "d", 8), tmp_path, precision="fp16")


@pytest.mark.slow
def test_a_lost_loader_process_is_a_resource_error(tmp_path: Path) -> None:
    class Kill(Callback):
        def on_batch_end(self, *_: object) -> None:
            for child in multiprocessing.active_children():
                assert child.pid is not None
                os.kill(child.pid, signal.SIGKILL)

    store = discs(tmp_path / "d", 8)
    with pytest.raises(ResourceError, match="a loader process ended early") as caught:
        fit(
            build_network("unet", outputs=1, seed=1, width=2, depth=1),
            batches(store, seed=1, batch_size=1, workers=1),
            batches(store, rows=[0]),
            FitConfig(epochs=50, lr=0.1, accelerator="cpu"),
            objective=Objective("segmentation"),
            seed=1,
            work_dir=tmp_path / "work",
            callbacks=[Kill()],
        )
    assert "run again: training resumes from its last checkpoint" in str(caught.value)


@pytest.mark.parametrize(
    ("images", "size", "one"),
    [(9, 4, True), (8, 4, False), (10, 4, False), (1, 4, False), (5, 1, False)],
)
def test_leaves_one(images: int, size: int, one: bool) -> None:
    assert leaves_one(images, size) is one


@pytest.mark.parametrize("count", [5, 9])
def test_a_single_value_for_batch_norm_is_an_error_that_names_the_parameters(
    tmp_path: Path, count: int
) -> None:
    store = discs(tmp_path / "d", count)  # the last four validate
    net = build_network("unet", outputs=1, seed=1, width=2, depth=5)  # 32 px shrink to one
    with pytest.raises(ParamsError, match="batch norm needs two values or more") as caught:
        train(store, tmp_path, net, epochs=1)
    assert "got input size torch.Size([1, 64, 1, 1])" in str(caught.value)
    assert "raise train.batch_size, or preprocess.height and width, or lower model.depth" in str(
        caught.value
    )


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_deep_supervision_resumes_to_the_same_bits(tmp_path: Path, precision: str) -> None:
    store = discs(tmp_path / "d", 20)

    def run(folder: str, *callbacks: Callback) -> FitResult:
        net = build_network(
            "unet", outputs=1, seed=1, width=4, depth=3, dropout=0.2, deep_supervision=True
        )
        loss = build_loss("segmentation", {"boundary": 1, "lovasz": 1})
        return train(
            store, tmp_path / folder, net, callbacks=callbacks, loss=loss, precision=precision
        )

    whole = run("a")
    with pytest.raises(Killed):
        run("b", Interrupt("on_batch_end", 6))
    resumed = run("b")
    assert digest(resumed.net) == digest(whole.net)
    assert resumed.history == whole.history
    images = torch.zeros(1, 3, 32, 32)
    assert whole.net(images).shape == (1, 1, 32, 32)
