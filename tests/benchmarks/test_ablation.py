"""The ablation trains on what it says, and scores what was held out."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import ablation
from darkroom.cli.main import read_context
from darkroom.prediction import thresholds
from darkroom.project import processes
from tests.support import tiny

pytestmark = pytest.mark.slow


def project(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 1)
    tiny.project(root / "project", "masks", train={"epochs": 1})
    monkeypatch.chdir(root / "project")
    tiny.run("fetch", "index", "split", "preprocess")


def test_every_way_is_scored_on_held_out_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, monkeypatch)
    trained: list[tuple[set[str], str]] = []
    calls: list[tuple[int, str]] = []

    def train(self: ablation.Bench, training: list[str], validation: str, name: str) -> object:
        trained.append((set(training), validation))
        return object()

    def curve(self: ablation.Bench, nets: list[object], group: str, how: object) -> ablation.Curve:
        calls.append((len(nets), group))
        return np.linspace(0, len(nets) / 2, len(thresholds.THRESHOLDS))

    monkeypatch.setattr(ablation.Bench, "train", train)
    monkeypatch.setattr(ablation.Bench, "curve", curve)
    ablation.main([tiny.NAME, "--groups", "2"])
    printed = capsys.readouterr().out
    for held_out, nets in (("g0", trained[:2]), ("g1", trained[2:])):
        assert [validated for _, validated in nets] != [held_out] * 2
        for learned, validated in nets:
            assert held_out not in learned
            assert validated not in learned
            assert learned | {held_out, validated} == {f"g{n}" for n in range(8)}
    assert {group for count, group in calls if count == 2} == {"g0", "g1"}
    assert "| one | plain | 0.5 | 0.2500 |" in printed
    assert "| two | hflip | chosen | 1.0000 |" in printed


def test_a_network_is_trained_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, monkeypatch)
    bench = ablation.Bench(read_context(tiny.NAME), tmp_path)
    net = bench.train(["g0", "g1"], "g2", "one")
    one = bench.curve([net], "g3", ablation.VIEWS["plain"])
    two = bench.curve([net, net], "g3", ablation.VIEWS["plain"])
    assert one.shape == (len(thresholds.THRESHOLDS),)
    assert np.allclose(one, two)
    assert 0 <= one.min() < one.max() <= 1
