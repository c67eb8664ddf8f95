"""Kept features: the same bits as recomputed ones, whatever interrupts, and only where they may."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from darkroom.project.journal import Journal
from darkroom.store.loader import Batch, BatchDataset
from darkroom.training import fit as fitting
from darkroom.training.augment.mixup import Mixup
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult
from darkroom.training.frozen.features import FeatureBatch
from darkroom.training.loop import Loop
from tests.support.interrupted import EPOCHS, IMAGES, Interrupt, Killed, outcome, train
from tests.support.noise import noisy

FROZEN: dict[str, Any] = {"freeze": "backbone"}
THAWED = FROZEN | {"epochs": 4, "unfreeze_epoch": 4}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """With several, a feature's last digits may depend on its place in a batch."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Watch(Callback):
    """Records what the loop trains on and validates with: epoch, part, and whether features."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[int, str], list[bool]] = {}

    def on_batch_start(self, loop: Loop, batch: Batch) -> None:
        self._note(loop, "train", batch)

    def on_validation_batch(self, loop: Loop, batch: Batch, _probabilities: object) -> None:
        self._note(loop, "val", batch)

    def _note(self, loop: Loop, part: str, batch: Batch) -> None:
        self.kinds.setdefault((loop.epoch, part), []).append(isinstance(batch, FeatureBatch))


def run(folder: Path, config: dict[str, Any], *callbacks: Callback, **options: Any) -> FitResult:
    plain: dict[str, Any] = {"augment": None, "mixup": None}
    return train(folder, config=config, callbacks=callbacks, **(plain | options))


def recomputed(folder: Path, config: dict[str, Any], patch: pytest.MonkeyPatch) -> FitResult:
    with patch.context() as within:
        within.setattr(fitting, "keep_features", lambda *_, **__: None)
        return run(folder, config)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many images each batch had that was read from the store."""
    sizes: list[int] = []
    original = BatchDataset.read_batch

    def read(self: BatchDataset, request: Any) -> Batch:
        sizes.append(len(request.rows))
        return original(self, request)

    monkeypatch.setattr(BatchDataset, "read_batch", read)
    return sizes


@pytest.mark.parametrize(
    "config",
    [FROZEN, THAWED, FROZEN | {"ema": None, "average": 0.5}, FROZEN | {"precision": "bf16"}],
    ids=["frozen", "thawed", "averaged", "half"],
)
def test_features_give_the_bits_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    """22 images in batches of four: the last has two, which the backbone computes each time."""
    watch = Watch()
    kept = run(tmp_path / "kept", config, watch)
    assert watch.kinds[0, "train"] == [True] * 5 + [False]
    assert watch.kinds[2, "val"] == [True, True]
    assert outcome(kept) == outcome(recomputed(tmp_path / "new", config, monkeypatch))
    if "unfreeze_epoch" in config:
        assert watch.kinds[3, "train"] == [False] * 6
        assert watch.kinds[3, "val"] == [False] * 2


def test_images_are_read_once(tmp_path: Path, reads: list[int]) -> None:
    run(tmp_path, FROZEN, images=20)
    # To look for the tail; the training images, and those of validation, in batches of four.
    assert reads == [4] + [4] * 5 + [4] * 2


def test_many_epochs_keep_the_last_batch_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FROZEN | {"epochs": 12}
    watch = Watch()
    kept = run(tmp_path / "kept", config, watch)
    assert watch.kinds[11, "train"] == [True] * 6
    assert outcome(kept) == outcome(recomputed(tmp_path / "new", config, monkeypatch))


def test_fewer_images_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    kept = run(tmp_path / "kept", FROZEN, watch, images=3)
    assert watch.kinds[1, "train"] == [True]
    with monkeypatch.context() as within:
        within.setattr(fitting, "keep_features", lambda *_, **__: None)
        other = run(tmp_path / "new", FROZEN, images=3)
    assert outcome(kept) == outcome(other)


@pytest.mark.parametrize("part", [1, 2, 6, 8])
def test_killed_while_computing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[int], part: int
) -> None:
    whole = outcome(run(tmp_path / "whole", FROZEN))
    append = Journal.append

    def killed(self: Journal, data: bytes) -> None:
        if len(self) == part:
            raise Killed
        append(self, data)

    with monkeypatch.context() as within:
        within.setattr(Journal, "append", killed)
        with pytest.raises(Killed):
            run(tmp_path / "killed", FROZEN)
    reads.clear()
    assert outcome(run(tmp_path / "killed", FROZEN)) == whole
    computed = len(reads) - 1 - EPOCHS  # but for the last batch of each epoch
    assert computed == 1 + 6 + 2 - part


def test_terminated_while_computing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = outcome(run(tmp_path / "whole", FROZEN))
    append = Journal.append

    def terminated(self: Journal, data: bytes) -> None:
        append(self, data)
        if len(self) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as within:
        within.setattr(Journal, "append", terminated)
        with pytest.raises(SystemExit) as caught:
            run(tmp_path / "ended", FROZEN)
    assert caught.value.code == 143
    assert len(Journal(tmp_path / "ended" / "work" / "features.bin")) == 3
    assert outcome(run(tmp_path / "ended", FROZEN)) == whole


@pytest.mark.slow
def test_loader_processes_read_the_same(tmp_path: Path) -> None:
    alone = outcome(run(tmp_path / "alone", FROZEN))
    assert outcome(run(tmp_path / "several", FROZEN, workers=2)) == alone


@pytest.mark.parametrize(
    ("hook", "call"), [("on_batch_end", 3), ("on_validation_batch", 3), ("on_epoch_end", 2)]
)
def test_killed_while_training(tmp_path: Path, reads: list[int], hook: str, call: int) -> None:
    whole = outcome(run(tmp_path / "whole", FROZEN, Interrupt()))
    with pytest.raises(Killed):
        run(tmp_path / "killed", FROZEN, Interrupt(hook, call))
    reads.clear()
    assert outcome(run(tmp_path / "killed", FROZEN, Interrupt())) == whole
    assert len(reads) <= 1 + EPOCHS


def flip(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [flip, lambda content: content[:-9], lambda _: b""])
def test_a_damaged_file_is_computed_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    whole = outcome(run(tmp_path, FROZEN))
    work = tmp_path / "work"
    (work / "training.ckpt").unlink()
    file = work / "features.bin"
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert outcome(run(tmp_path, FROZEN)) == whole
    assert file.read_bytes() == content


def test_features_of_another_backbone_are_not_used(tmp_path: Path) -> None:
    whole = outcome(run(tmp_path / "one", FROZEN, seed=2))
    run(tmp_path / "other", FROZEN, seed=1)
    (tmp_path / "other" / "work" / "training.ckpt").unlink()
    assert outcome(run(tmp_path / "other", FROZEN, seed=2)) == whole


@pytest.mark.parametrize(
    "options",
    [
        {"augment": noisy},
        {"mixup": Mixup(0.4, 0.4, 3)},
        {"config": FROZEN | {"unfreeze_epoch": 2}},
        {"config": {}},
    ],
    ids=["augmented", "mixed", "one epoch", "not frozen"],
)
def test_features_that_change_are_not_kept(tmp_path: Path, options: dict[str, Any]) -> None:
    watch = Watch()
    run(tmp_path, options.pop("config", FROZEN), watch, **options)
    assert not any(any(kinds) for kinds in watch.kinds.values())
    assert not (tmp_path / "work" / "features.bin").exists()


def test_a_batch_still_has_its_pictures(tmp_path: Path) -> None:
    seen: dict[str, np.ndarray[Any, Any]] = {}

    class Look(Callback):
        def on_validation_batch(self, loop: Loop, batch: Batch, _probabilities: object) -> None:
            assert batch.images.shape == (4, 32)
            assert batch.images.dtype == torch.float32
            dataset = loop.val_loader.dataset
            assert isinstance(dataset, BatchDataset)
            for place, name in enumerate(batch.ids):
                seen[name] = batch.picture(place)
                assert np.array_equal(seen[name], dataset.store.image(int(name)))

    run(tmp_path, FROZEN, Look())
    assert len(seen) == 8
    assert next(iter(seen.values())).shape == (16, 16, 3)
    assert sorted(seen)[-1] == f"{IMAGES - 1:03d}"
