"""The training benchmark compares what it names, and times what it says."""

import re
from functools import partial
from typing import Any

import pytest

from benchmarks import training
from darkroom.models.build import build_network
from darkroom.params.train import FitConfig


def config(**options: Any) -> FitConfig:
    return FitConfig(epochs=1, lr=1e-4, **options)


def test_each_way_has_one_thing_more() -> None:
    found = training.configurations("cpu", compiled=True)
    assert list(found) == [
        "float32",
        "float32, channels_last",
        "bf16, channels_last",
        "bf16, channels_last, compiled",
    ]
    first, second, third, last = found.values()
    assert first == config(accelerator="cpu", precision="float32", channels_last=False)
    assert (second.channels_last, second.precision) == (True, "float32")
    assert (third.channels_last, third.precision, third.compile) == (True, "bf16", False)
    assert last.compile


@pytest.mark.slow
def test_it_prints_a_ratio_for_every_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, float]] = []
    ended = training.Clock.on_batch_end

    def end(self: training.Clock, *arguments: object) -> None:
        ended(self, *arguments)  # type: ignore[arg-type]
        seen.append((self.images, self.seconds))

    monkeypatch.setattr(training.Clock, "on_batch_end", end)
    plain = {"float32": config(accelerator="cpu"), "again": config(accelerator="cpu")}
    monkeypatch.setattr(
        training, "configurations", lambda *_, **__: plain
    )  # half precision is slow here
    small = partial(build_network, "unet", outputs=1, seed=0, width=2, depth=1)
    monkeypatch.setattr(training, "build_network", lambda **_: small())
    words = "--accelerator cpu --network unet --height 32 --width 32 --batch 2 --batches 2"
    training.main(words.split())
    told = capsys.readouterr().out
    lines = re.findall(r"^\| (.+?) \| [\d,.]+ \| ([\d.]+)x \|$", told, re.MULTILINE)
    assert [name for name, _ in lines] == list(plain)
    assert lines[0][1] == "1.00"
    assert [images for images, _ in seen[:5]] == [0, 0, 0, 2, 4], "the first batches are not timed"
    assert len(seen) == len(plain) * training.ROUNDS * 5


def test_costs_are_told_beside_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    ways = {"work": (lambda: calls.append("before"), lambda: sum(range(10_000)))}
    monkeypatch.setattr(training, "costs", lambda: ways)
    training.main(["--costs"])
    assert len(calls) == training.TURNS + 1
    assert re.search(r"^\| work \| [\d.]+ \| [\d.]+ \| [\d.]+x \|$", capsys.readouterr().out, re.M)
