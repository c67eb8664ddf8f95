"""The trial of pseudo-labels compares with a control of as many steps."""

from pathlib import Path

import pytest

from benchmarks import pseudo_labels
from darkroom.params import file as paramfile


@pytest.mark.parametrize("name", pseudo_labels.CONTESTS)
def test_control_and_second_differ_in_pseudo_labels_alone(name: str) -> None:
    confidence = pseudo_labels.CONTESTS[name][1]
    params = paramfile.validate_params(
        pseudo_labels.project(name, Path("raw"), confidence, (32, 320))
    )
    control, second = (params.section(each) for each in ("control", "second"))
    assert control.train.epochs == pseudo_labels.STEPS // 2  # 32 images are 2 batches of 16
    assert second.train.epochs == pseudo_labels.STEPS // 20
    train = second.train.model_copy(update={"epochs": control.train.epochs})
    assert second.model_copy(update={"train": train}) == control
    (entry,) = params.pseudo_labels
    assert (entry.to, entry.giver, entry.confidence) == ("second", "first", confidence)


def test_a_contest_is_named_with_its_rows_and_confidence() -> None:
    assert pseudo_labels._choice("seti") == ("seti", *pseudo_labels.CONTESTS["seti"])
    assert pseudo_labels._choice("aptos:30:0.7") == ("aptos", 30, 0.7)
