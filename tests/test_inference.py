"""Probabilities: averaged over networks, streamed, the same however they are batched."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from darkroom.dataset import Batch
from darkroom.errors import ParamsError, ResourceError
from darkroom.inference import device_for, probabilities
from darkroom.models import build
from tests.drawn import batches, colours, discs

CPU = torch.device("cpu")


def test_masks_are_averaged_as_probabilities(tmp_path: Path) -> None:
    store = discs(tmp_path, 3)
    nets = [build("unet", outputs=1, seed=seed, width=2, depth=1) for seed in (1, 2)]
    (one,), (two,), (both,) = (
        list(probabilities(some, batches(store), "segmentation", CPU))
        for some in (nets[:1], nets[1:], nets)
    )
    ids, average, originals = both
    assert ids == ["000", "001", "002"]
    assert average.dtype == np.float32
    assert average.shape == (3, 32, 32)
    assert originals.tolist() == [[32, 32]] * 3
    assert np.allclose(average, (one[1] + two[1]) / 2, atol=1e-6)
    assert not np.allclose(one[1], two[1], atol=1e-3)


def test_classes_add_up_to_one_in_any_batch_size(tmp_path: Path) -> None:
    store = colours(tmp_path, 5)
    net = build("resnet18", outputs=3, seed=1)
    small, large = (
        np.concatenate(
            [p for _, p, _ in probabilities([net], batches(store, batch_size=n), "multiclass", CPU)]
        )
        for n in (2, 5)
    )
    assert small.shape == (5, 3)
    assert np.allclose(small.sum(1), 1, atol=1e-6)
    assert np.allclose(small, large, atol=1e-5)


def test_it_streams(tmp_path: Path) -> None:
    read = 0

    def counted() -> Iterator[Batch]:
        nonlocal read
        for batch in batches(discs(tmp_path, 6), batch_size=2):
            read += 1
            yield batch

    net = build("unet", outputs=1, seed=1, width=2, depth=1)
    found = probabilities([net], counted(), "segmentation", CPU)
    next(found)
    assert read == 1


def test_a_net_in_training_is_asked_in_eval_mode(tmp_path: Path) -> None:
    net = build("unet", outputs=1, seed=1, width=2, depth=1).train()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    list(probabilities([net], batches(discs(tmp_path, 2)), "segmentation", CPU))
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for("auto") == device_for("cpu") == CPU
    with pytest.raises(ResourceError, match=r"no cuda that torch can use[\s\S]*one of cpu"):
        device_for("cuda")
    with pytest.raises(ParamsError, match=r"found: gpu[\s\S]*auto, cpu, cuda, mps"):
        device_for("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for("auto").type == "cuda"
