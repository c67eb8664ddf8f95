"""Folds differ in seed as well as in data; fold 0 has the seed of params.yaml itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.cli import main
from darkroom.params.competition import Competition
from darkroom.params.train import Train
from darkroom.project.paths import ALL, Fold, Layout
from darkroom.stages import _train_args, train
from darkroom.stages._context import Context
from tests.support import tiny


class BeginningError(Exception):
    """The training was about to begin."""


def seed_of(seed: int, fold: Fold, own: int | None = None) -> int:
    parts: Any = {"train": Train(epochs=1, batch_size=4, lr=0.1, seed=own)}
    section = Competition.model_construct(**parts)
    context = Context(seed=seed, folds=(0,), section=section, paths=Layout("some"))
    return _train_args.fold_seed(context, fold)


def test_the_seed_of_a_fold() -> None:
    assert seed_of(7, 0) == 7
    assert seed_of(7, 0, own=3) == 3
    assert seed_of(7, 2, own=3) == seed_of(3, 2) != seed_of(7, 2)
    assert seed_of(7, 1) == int(np.random.SeedSequence([7, 1]).generate_state(1)[0]) == 369571992
    folds: list[Fold] = [*range(10), ALL]
    seeds = {seed_of(seed, fold) for seed in range(10) for fold in folds}
    assert len(seeds) == 110
    assert max(seeds) < 2**32


@pytest.fixture
def beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function of a fold: the network and the first rows that its training begins with."""
    monkeypatch.chdir(tiny.project(tmp_path / "project", "multiclass"))
    tiny.edit(Path(), lambda params: params.update(folds=[0, 1]))
    tiny.run("fetch", "index", "split", "preprocess")
    began: dict[str, Any] = {}

    def note(net: nn.Module, loader: Any, *_: object, seed: int, **__: object) -> None:
        state = torch.cat([tensor.flatten() for tensor in net.parameters()]).detach()
        order = [row for request in loader.sampler for row in request.rows]
        began.update(weights=state.clone(), order=order, seed=seed)
        raise BeginningError

    monkeypatch.setattr(train, "fit", note)

    def begin(fold: int) -> dict[str, Any]:
        with pytest.raises(BeginningError):
            train.run(main.read_context(tiny.NAME), fold)
        return dict(began)

    return begin


def test_folds_begin_with_other_weights_and_another_order(beginning: Any) -> None:
    first, second = beginning(0), beginning(1)
    assert (first["seed"], second["seed"]) == (7, 369571992)
    assert first["weights"].shape == second["weights"].shape
    assert not torch.equal(first["weights"], second["weights"])
    ranks = [np.argsort(np.argsort(each["order"])).tolist() for each in (first, second)]
    assert ranks[0] != ranks[1], "not the same permutation of other rows"


def test_a_section_may_have_a_seed_of_its_own(beginning: Any) -> None:
    plain = beginning(0)
    tiny.edit(Path(), lambda params: params[tiny.NAME]["train"].update(seed=7))
    assert torch.equal(beginning(0)["weights"], plain["weights"])
    tiny.edit(Path(), lambda params: params[tiny.NAME]["train"].update(seed=8))
    assert not torch.equal(beginning(0)["weights"], plain["weights"])
