"""`darkroom train NAME --overfit`: it learns, or says what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from darkroom.cli.main import main, read_context
from darkroom.cli.trials import overfit
from darkroom.errors import ParamsError
from darkroom.stages import train
from darkroom.store.store import Store
from darkroom.training.trials.overfit import Attempt
from darkroom.training.trials.steps import Step
from tests.support import tiny

COMMAND = ["train", tiny.NAME, "--overfit"]
Ready = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("kind", ["masks", "multilabel", "multiclass", "regression"])
def test_a_batch_is_learned_and_nothing_stays(ready: Ready, capsys: Capture, kind: str) -> None:
    root = ready(kind)
    before = tiny.tree(root)
    capsys.readouterr()
    assert main(COMMAND) == 0
    assert "It learns" in capsys.readouterr().out.splitlines()[-1]
    assert tiny.tree(root) == before
    assert tiny.leftovers(root) == []
    assert not (root / "runs").exists()


def test_what_keeps_from_learning_by_heart_is_off(ready: Ready) -> None:
    keys = {"mixup": 0.4, "label_smoothing": 0.1, "accumulate": 3, "freeze": "backbone"}
    ready("multiclass", train={**keys, "augment": "strong", "weight_decay": 0.3, "lr": 0.02})
    config = overfit._by_heart(read_context(tiny.NAME)).section.train
    assert (config.mixup, config.label_smoothing, config.accumulate, config.freeze) == (
        *(0.0, 0.0, 1, "none"),
    )
    assert (config.augment, config.weight_decay, config.lr) == ("none", 0.0, 0.02)
    assert config.batch_size == 4


def test_a_rate_that_is_too_high_is_told(ready: Ready, capsys: Capture) -> None:
    ready("multiclass", train={"lr": 10.0, "optimizer": "adam"})
    capsys.readouterr()
    code = main(COMMAND)
    out, err = capsys.readouterr()
    assert "lr 10 " in out
    assert "lr 1 " in out
    assert "not at train.lr 10" in out or (code == 2 and "diverges" in err)


def test_a_network_that_nothing_reaches_is_told(
    ready: Ready, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready("multiclass")
    prepare = train.prepare

    def silenced(*arguments: Any) -> Any:
        fold = prepare(*arguments)
        last = [m for m in fold.net.modules() if isinstance(m, nn.Linear)][-1]
        last.register_forward_hook(lambda _module, _inputs, logits: logits * 0.0)
        return fold

    monkeypatch.setattr(train, "prepare", silenced)
    assert main(COMMAND) == 2
    err = capsys.readouterr().err
    assert "params.yaml: the loss does not fall on a single batch" in err
    assert "1.099 at first, 1.099 at best" in err  # log 3: a third for each class


def test_equal_images_of_different_classes_are_refused(
    ready: Ready, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready("multiclass")
    grey = np.full((32, 32, 3), 9, np.uint8)
    monkeypatch.setattr(Store, "image", lambda *_: grey)
    assert main(COMMAND) == 3
    assert "images are equal to the last pixel, but their targets differ" in capsys.readouterr().err


def attempt(*losses: float) -> Attempt:
    return Attempt(0.1, [Step(0.1, loss) for loss in losses], 0.0, {}, learned=False)


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ((1.0, 5.0, np.inf), "the loss diverges on a single batch"),
        ((1.0, 0.999, 1.0), "the loss does not fall"),
        ((1.0, 0.5, 0.4), "a single batch is not learned by heart"),
    ],
)
def test_what_losses_tell(losses: tuple[float, ...], words: str) -> None:
    error = overfit._not_learned([attempt(*losses)] * 3)
    assert isinstance(error, ParamsError)
    assert words in str(error)


def test_check_and_overfit_are_one_or_the_other(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*COMMAND, "--check"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err
