"""The benchmark of CUDA, as far as a CPU can run it."""

from pathlib import Path

import pytest
import torch

from benchmarks import cuda
from darkroom.models.build import build_network
from darkroom.params.train import FitConfig

TINY = (
    cuda.Case("unet", {"name": "unet", "width": 2, "depth": 1}, 16, 24),
    cuda.Case(
        "timm",
        {"name": "timm", "backbone": "test_convnext", "size": (32, 32)},
        32,
        32,
        classes=3,
    ),
)


@pytest.mark.parametrize("case", TINY, ids=lambda case: case.title)
def test_it_counts_the_images_of_timed_steps(case: cuda.Case, tmp_path: Path) -> None:
    config = FitConfig(epochs=1, lr=1e-4, accelerator="cpu", precision="bf16")
    watch = cuda.measure(case, config, batch=2, steps=2, workers=0, folder=tmp_path)
    assert watch.images == 4
    assert 0 < watch.seconds < 60
    assert watch.waiting is None


def test_its_networks_are_those_of_its_titles() -> None:
    with torch.device("meta"):
        nets = [build_network(**c.network, outputs=c.classes or 1, seed=0) for c in cuda.CASES]
    millions = [sum(p.numel() for p in net.parameters()) / 1e6 for net in nets]
    assert millions == pytest.approx([31.0, 27.8], abs=0.1)


def test_what_overlaps_is_busy_once() -> None:
    assert cuda.union([]) == 0
    assert cuda.union([(3, 4), (0, 2), (1, 2), (1, 3)]) == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
def test_without_cuda_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cuda.main([])
    assert caught.value.code == 2
    assert "needs CUDA" in capsys.readouterr().err
