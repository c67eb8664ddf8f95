"""The words that params.yaml allows are those that the modules behind them know."""

from typing import Any, get_args

from darkroom import augment, competitions, index, inference, models, params, tasks


def _allowed(section: type[params.Section], key: str) -> tuple[Any, ...]:
    return get_args(section.model_fields[key].annotation)


def test_augmentations_are_the_presets() -> None:
    assert _allowed(params.Train, "augment") == tuple(augment.PRESETS)


def test_models_are_those_that_can_be_built() -> None:
    sections = (params.UNet, params.EncoderUNet, params.ResNet)
    assert tuple(name for s in sections for name in _allowed(s, "name")) == models.NAMES


def test_tasks_are_those_of_the_index_and_the_table() -> None:
    assert get_args(params.TaskName) == index.TASK_NAMES
    assert set(index.TASK_NAMES) == set(tasks.TASKS)


def test_each_format_has_an_adapter_and_its_options_are_keys_of_the_section() -> None:
    sections = (params.CarvanaData, params.CelebaData, params.BanknotesData, params.CsvData)
    for section in sections:
        (name,) = _allowed(section, "format")
        options = set(competitions.load(name).options.__dataclass_fields__)
        assert options | {"format", "source"} == set(section.model_fields), name


def test_the_processor_can_always_be_asked_for() -> None:
    assert inference.device_for("cpu").type == "cpu"
    assert inference.device_for("auto").type in ("cpu", "cuda")
