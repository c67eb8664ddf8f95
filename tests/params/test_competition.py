"""The words that params.yaml allows are those that the modules behind them know."""

from typing import Any, get_args

from darkroom.index import card
from darkroom.models.device import choose_device
from darkroom.params import data, evaluate, model, section, train
from darkroom.params.networks import LABEL_NAMES, MASK_NAMES
from darkroom.params.section import Section
from darkroom.prediction.networks import tta
from darkroom.stages import fetch
from darkroom.tasks import table as tasks
from darkroom.tasks.losses import choice
from darkroom.training import optimizers, schedules
from darkroom.training.augment.presets import PRESETS


def _words(annotation: Any) -> set[str]:
    """Return the words of every Literal in a type, however deep."""
    found = set[str]()
    for part in get_args(annotation):
        found |= {part} if isinstance(part, str) else _words(part)
    return found


def _allowed(section: type[Section], key: str) -> set[str]:
    return _words(section.model_fields[key].annotation)


def test_augmentations_are_the_presets() -> None:
    assert _words(train.Preset) == set(PRESETS)
    assert _allowed(train.Train, "augment") == set(PRESETS)


def test_models_are_those_that_can_be_built() -> None:
    decoders = (model.EncoderUNet, model.FPN, model.DeepLabV3Plus, model.Segformer)
    masks = set().union(*(_allowed(each, "name") for each in (model.UNet, *decoders)))
    classes = (model.SmallCnn, model.Classifier, model.Timm)
    labels = set().union(*(_allowed(each, "name") for each in classes))
    assert masks == set(MASK_NAMES)
    assert labels == set(LABEL_NAMES)


def test_losses_are_those_of_some_task() -> None:
    known = {name for names in choice.NAMES.values() for name in names}
    assert set(get_args(train.LossName)) == known


def test_optimisers_and_schedules_are_those_that_can_be_built() -> None:
    assert _allowed(train.Train, "optimizer") == set(optimizers.NAMES)
    assert get_args(train.ScheduleName) == tuple(schedules.SHAPES)


def test_views_are_those_that_keep_a_picture_s_size() -> None:
    assert _words(evaluate.Transform) == set(tta.TRANSFORMS) - {"identity"}


def test_tasks_are_those_of_the_index_and_the_table() -> None:
    assert get_args(section.TaskName) == card.TASK_NAMES == tuple(tasks.TASKS)


def test_samples_are_those_that_can_be_drawn() -> None:
    assert _allowed(data.Data, "sample") == set(fetch.DRAWN)


def test_the_processor_can_always_be_asked_for() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
