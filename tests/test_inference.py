"""Probabilities: averaged over networks, streamed, the same however they are batched."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.dataset import Batch
from darkroom.errors import ArtifactError, ParamsError, ResourceError
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


@pytest.mark.parametrize("task", ["segmentation", "multilabel", "regression"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_outputs_that_are_not_finite_are_refused(tmp_path: Path, task: str, value: float) -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = images[:, :1] if task == "segmentation" else images.mean((2, 3))
            logits[1:3] = value
            return logits

    found = probabilities([Broken()], batches(discs(tmp_path, 4)), task, CPU)
    with pytest.raises(ArtifactError, match="outputs are infinite or not a number") as caught:
        next(found)
    assert "found: 2 of 4 images of a batch: 001, 002\n" in str(caught.value)
    assert "to do: train again, with a lower train.lr" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB"), "CUDA out of memory. Tried 2"),
        (MemoryError(), "MemoryError"),
        (None, "DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_is_told_with_what_to_lower(
    tmp_path: Path, fault: Exception | None, words: str
) -> None:
    class Greedy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if fault is not None:
                raise fault
            return images + torch.empty(1 << 50)

    with pytest.raises(ResourceError, match="there is not enough memory to predict") as caught:
        next(probabilities([Greedy()], batches(discs(tmp_path, 2)), "segmentation", CPU))
    assert words in str(caught.value)
    assert "to do: lower batch_size of evaluate or predict" in str(caught.value)


def test_other_faults_of_a_net_are_not_taken_for_a_lack_of_memory(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        next(probabilities([nn.Linear(7, 1)], batches(discs(tmp_path, 2)), "segmentation", CPU))
