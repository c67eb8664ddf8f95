"""The table of metrics: names, directions, tasks, and what is refused."""

import pytest

from darkroom.errors import ParamsError
from darkroom.params.rules.data import METRIC_TASKS, metric_fault
from darkroom.params.section import LOWER_IS_BETTER
from darkroom.tasks.metrics.specs import METRICS, get_metric
from darkroom.tasks.table import TASKS


def test_every_metric_is_of_tasks_and_can_be_had_by_name() -> None:
    for name, spec in METRICS.items():
        assert spec.name == name
        assert set(spec.tasks) <= set(TASKS)
        for task in spec.tasks:
            assert get_metric(name, task) is spec
        # What is not counted image by image has a function for each of its tasks.
        assert set(spec.scores) == (set() if spec.tasks == ("segmentation",) else set(spec.tasks))


def test_params_know_the_same_metrics() -> None:
    tasks = {name: set(spec.tasks) for name, spec in METRICS.items()}
    assert {name: set(names) for name, names in METRIC_TASKS.items()} == tasks
    for name in ("map@7", "top3_accuracy", "f0.5", "macro_f2", "samples_f3", "mapp@5", "f0"):
        for task in TASKS:
            try:
                get_metric(name, task)
                is_known = True
            except ParamsError:
                is_known = False
            assert (metric_fault(name, task) == "") == is_known, (name, task)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("segmentation", "dice"),
        ("multilabel", "accuracy"),
        ("multiclass", "accuracy"),
        ("binary", "accuracy"),
        ("regression", "rmse"),
    ],
)
def test_the_usual_metric_of_a_task(task: str, name: str) -> None:
    assert get_metric("", task).name == name


def test_lower_is_better_for_errors_only() -> None:
    lower = {name for name, spec in METRICS.items() if spec.best == "min"}
    assert lower == {"log_loss", "weighted_log_loss", "rmse", "mae", "rmsle", "mcrmse"}
    assert lower == set(LOWER_IS_BETTER)


def test_any_k_and_any_beta() -> None:
    assert (get_metric("map@7", "multiclass").top, get_metric("map@7", "multilabel").top) == (7, 7)
    assert get_metric("top3_accuracy", "multiclass").top == 3
    assert get_metric("macro_f2", "multilabel").threshold == "auto"
    assert get_metric("f0.5", "binary").writes == "labels"


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("macrof1", "multilabel", "no such metric.*did you mean macro_f1"),
        ("rmse", "binary", "rmse is not defined for the task binary"),
        ("map@0", "multiclass", "no such metric"),
        ("f1", "multilabel", "f1 is not defined for the task multilabel"),
        ("dice", "multiclass", "expected: for multiclass: accuracy, average_precision"),
    ],
)
def test_what_there_is_not_is_refused(name: str, task: str, words: str) -> None:
    with pytest.raises(ParamsError, match=f"(?s){words}"):
        get_metric(name, task)
