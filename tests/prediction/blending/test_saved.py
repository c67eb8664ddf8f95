"""The mixes of a blend come back from their file to the bit."""

import json
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import ArtifactError
from darkroom.prediction.blending.fitting import Blend
from darkroom.prediction.blending.mixes import Mix, RankMean, WeightedMean, rank_mean
from darkroom.prediction.blending.saved import read_mixes, write_mixes
from darkroom.prediction.blending.stacking import fit_stack

RNG = np.random.default_rng(5)
MEMBERS = [RNG.dirichlet((1, 1, 1), 40).astype(np.float32) for _ in range(2)]
CLASSES = RNG.integers(0, 3, 40).astype(np.float64)
LABELS = (RNG.random((40, 3)) < 0.5).astype(np.float64)
LABELS[:, 2] = 0  # too few examples: no model
VALUES = RNG.normal(size=(40, 3))
MIXES: dict[str, Mix] = {
    "mean": WeightedMean((1 / 3, 2 / 3)),
    "geometric": WeightedMean((0.1, 0.9), "log"),
    "ranks": rank_mean(MEMBERS),
    "classes": fit_stack("multiclass", MEMBERS, CLASSES),
    "labels": fit_stack("multilabel", MEMBERS, LABELS),
    "values": fit_stack("regression", MEMBERS, VALUES),
}


@pytest.mark.parametrize("name", MIXES)
def test_a_mix_comes_back_to_the_bit(tmp_path: Path, name: str) -> None:
    mix, other = MIXES[name], WeightedMean((1.0, 0.0))
    blend = Blend({}, {0: mix}, other)
    write_mixes(tmp_path / "mixes.json", blend, {0: ("a", "b"), "all": ("c", "d")})
    folds = read_mixes(tmp_path / "mixes.json", fix="blend again")
    assert {fold: each.networks for fold, each in folds.items()} == {
        "0": ("a", "b"),
        "all": ("c", "d"),
    }
    assert type(folds["0"].mix) is type(mix)
    np.testing.assert_array_equal(folds["0"].mix(MEMBERS), mix(MEMBERS), strict=True)
    assert folds["all"].mix == other
    # The same mixes make the same bytes: DVC records them.
    data = (tmp_path / "mixes.json").read_bytes()
    write_mixes(tmp_path / "mixes.json", blend, {0: ("a", "b"), "all": ("c", "d")})
    assert (tmp_path / "mixes.json").read_bytes() == data


def test_ranks_of_float32_stay_float32(tmp_path: Path) -> None:
    write_mixes(tmp_path / "m.json", Blend({}, {}, MIXES["ranks"]), {"all": ("a", "b")})
    mix = read_mixes(tmp_path / "m.json", fix="")["all"].mix
    assert isinstance(mix, RankMean)
    assert mix.sorted_columns[1].dtype == np.float32
    np.testing.assert_array_equal(mix.sorted_columns[1], np.sort(MEMBERS[1], axis=0))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mixes.json"
    write_mixes(file, Blend({}, {}, MIXES["mean"]), {"all": ("a", "b")})
    values = json.loads(file.read_text())
    values["folds"]["all"]["mix"]["weights"] = [0.5, 0.5]
    file.write_text(json.dumps(values))
    with pytest.raises(ArtifactError):
        read_mixes(file, fix="blend again")
