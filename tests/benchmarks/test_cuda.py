"""The benchmark of CUDA, as far as a CPU can run it."""

from pathlib import Path

import pytest
import torch

from benchmarks import cuda
from darkroom.models.build import build_network
from darkroom.params.train import FitConfig


@pytest.mark.parametrize("case", cuda.TINY, ids=lambda case: case.title)
def test_it_counts_the_images_of_timed_steps(case: cuda.Case, tmp_path: Path) -> None:
    config = FitConfig(epochs=1, lr=1e-4, accelerator="cpu", precision="bf16")
    watch = cuda.measure(case, config, batch=2, steps=2, workers=0, folder=tmp_path)
    assert watch.images == 4
    assert 0 < watch.seconds < 60
    assert watch.waiting is None


@pytest.mark.parametrize("case", cuda.TINY, ids=lambda case: case.title)
def test_plain_loops_and_predictions_have_rates(case: cuda.Case, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    for dtype, last in ((torch.float32, False), (torch.bfloat16, True)):
        assert cuda.plain_rate(case, cpu, dtype, last=last, batch=2, steps=2) > 0
    sizes = {"batch": 2, "steps": 2, "workers": 0}
    rate, waiting = cuda.predicting_rate(case, cpu, **sizes, folder=tmp_path)
    assert rate > 0
    assert waiting is None


def test_a_case_is_held_against_the_plain_loop_of_its_own_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = {(torch.float32, False): 10.0, (torch.bfloat16, False): 20.0}
    watch = cuda.Watch(1, images=49, seconds=1.0, waiting=0.015)
    monkeypatch.setattr(
        cuda, "plain_rate", lambda _c, _d, dtype, last, **_: rates.get((dtype, last), 50.0)
    )
    monkeypatch.setattr(cuda, "measure", lambda *_, **__: watch)
    monkeypatch.setattr(cuda, "predicting_rate", lambda *_, **__: (99.0, None))
    report = cuda.measure_case(cuda.TINY[0], torch.device("cpu"), 2, 2, 0)
    assert [row[:3] for row in report.tables[0].rows] == [
        ["a plain loop, float32", 10.0, 1.0],
        ["a plain loop, bf16 by autocast", 20.0, 2.0],
        ["a plain loop, bf16, channels last", 50.0, 5.0],
        ["darkroom train", 49.0, 4.9],
        ["darkroom predict", 99.0, None],
    ]
    assert report.tables[0].rows[3][3] == "1.5%"
    assert [(goal.measured, goal.is_met) for goal in report.goals] == [(0.98, True)]


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
