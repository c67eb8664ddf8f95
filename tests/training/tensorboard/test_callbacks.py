"""The board as a whole: it changes no bit of a training, and a resumed one tells nothing twice."""

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard.callbacks import callbacks
from darkroom.training.tensorboard.pictures import Pictures
from darkroom.training.tensorboard.worst import Worst
from tests.support.drawn import batches, discs
from tests.training.tensorboard.runs import BATCHES, EPOCHS, IMAGES, LEARNT, train


class Killed(BaseException):
    """As good as SIGKILL: nothing is saved at its coming."""


class Killer(Callback):
    """Ends the process, as it were, at the n-th call of a hook."""

    def __init__(self, hook: str, call: int) -> None:
        self.left = call
        setattr(self, hook, self._act)

    def _act(self, *_: object, **__: object) -> None:
        self.left -= 1
        if not self.left:
            raise Killed


def steps(folder: Path) -> dict[str, list[int]]:
    """Return where every tag has its points, as TensorBoard itself reads them."""
    events = EventAccumulator(str(folder / "runs" / "segmentation"), {"tensors": 0}).Reload()
    return {
        tag: [point.step for point in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
        if not tag.startswith("_hparams_/")  # words, not points: the last ones count
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(folder, "segmentation", pictures=1)
    return steps(folder)


def test_a_training_without_callbacks_has_the_same_bits(tmp_path: Path) -> None:
    with_events = train(tmp_path / "a", "multiclass", pictures=1)
    without = train(tmp_path / "b", "multiclass", events=False)
    assert with_events.history == without.history
    for name, tensor in with_events.net.state_dict().items():
        assert torch.equal(tensor, without.net.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hook", "call"),
    [("on_batch_end", 5), ("on_epoch_end", 2), ("on_checkpoint", EPOCHS)],
)
def test_a_resumed_training_writes_every_event_once(
    tmp_path: Path, undisturbed: dict[str, list[int]], hook: str, call: int
) -> None:
    with pytest.raises(Killed):
        train(tmp_path, "segmentation", pictures=1, others=[Killer(hook, call)])
    train(tmp_path, "segmentation", pictures=1, others=[Killer(hook, -1)])
    assert steps(tmp_path) == undisturbed


@pytest.mark.slow
def test_where_the_points_are(undisturbed: dict[str, list[int]]) -> None:
    assert undisturbed["loss/step"] == list(range(1, EPOCHS * BATCHES + 1))
    ends = [BATCHES, 2 * BATCHES, 3 * BATCHES]
    for tag in ("dice/val", "predictions", "worst", "precision and recall/pixels"):
        assert undisturbed[tag] == ends, tag


def test_images_can_be_switched_off(tmp_path: Path) -> None:
    loader = batches(discs(tmp_path / "d", IMAGES - LEARNT))
    parts = callbacks(tmp_path / "runs", "segmentation", loader, pictures=0, worst=0)
    kinds = [type(part) for part in parts]
    assert not {Pictures, Worst} & set(kinds)


def test_regression_has_no_confusion_matrix(tmp_path: Path) -> None:
    loader = batches(discs(tmp_path / "d", 4))
    kinds = [type(part).__name__ for part in callbacks(tmp_path, "regression", loader)]
    assert kinds == [
        "EventWriter",
        "Graph",
        "Scalars",
        "Pictures",
        "Worst",
        "Hparams",
        "Throughput",
    ]
