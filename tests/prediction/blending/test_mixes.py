import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from darkroom.prediction.blending.mixes import Scale, WeightedMean, rank_mean

SCALES: tuple[Scale, ...] = ("log", "logit")


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_a_weighted_mean() -> None:
    mixed = WeightedMean((0.5, 0.25, 0.25))([column(1, 0), column(0, 1), column(1, 1)])
    assert mixed[:, 0].tolist() == [0.75, 0.5]
    assert mixed.dtype == np.float32


def test_a_member_without_weight_is_not_looked_at() -> None:
    mixed = WeightedMean((1.0, 0.0))([column(0.5), column(np.nan)])
    assert mixed.tolist() == [[0.5]]


def test_a_geometric_mean_of_classes_and_of_labels() -> None:
    """Odds of 9:1 and 1:1 have the geometric mean 3:1."""
    sure, unsure = (np.array([row], np.float32) for row in ([0.9, 0.1], [0.5, 0.5]))
    for scale in SCALES:
        mixed = WeightedMean((0.5, 0.5), scale)([sure, unsure])
        assert mixed == pytest.approx(np.array([[0.75, 0.25]]))
    assert WeightedMean((0.5, 0.5), "logit")([column(0.9), column(0.9)]) == pytest.approx(0.9)
    three = [np.array([row], np.float32) for row in ([0.6, 0.3, 0.1], [0.6, 0.1, 0.3])]
    expected = np.sqrt([0.36, 0.03, 0.03])
    assert WeightedMean((0.5, 0.5), "log")(three)[0] == pytest.approx(expected / expected.sum())


def test_an_answer_that_one_member_rules_out_keeps_a_chance() -> None:
    never, sure = column(0, 1), column(0.5, 0.5)
    for scale in SCALES:
        mixed = WeightedMean((0.5, 0.5), scale)([never, sure])
        assert np.isfinite(mixed).all()
    assert 0 < WeightedMean((0.5, 0.5), "logit")([never, sure])[0, 0] < 0.001


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.floats(0, 1, width=32))
def test_of_equal_members_it_is_the_same_to_the_bit(weights: list[float], value: float) -> None:
    shares = tuple((np.array(weights) / sum(weights)).tolist())
    member = column(value, 1, 0)
    assert (WeightedMean(shares)([member] * len(shares)) == member).all()


@given(arrays(np.float32, (4, 2), elements=st.floats(0, 1, width=32)))
def test_batches_of_any_size_make_the_same_bits(member: np.ndarray) -> None:
    mix = WeightedMean((0.3, 0.7))
    whole = mix([member, 1 - member])
    parts = [mix([member[i : i + 1], 1 - member[i : i + 1]]) for i in range(4)]
    assert (whole == np.concatenate(parts)).all()


def test_the_rank_mean_of_validation_images() -> None:
    """Ranks 1/6, 3/6, 5/6 of three images; the members order them differently."""
    timid, bold = column(0.4, 0.5, 0.6), column(0.9, 0.0, 1.0)
    assert rank_mean([timid, bold])([timid, bold])[:, 0] == pytest.approx([2 / 6, 2 / 6, 5 / 6])


def test_equals_have_the_rank_in_their_middle() -> None:
    member = column(0.2, 0.2, 0.8, 0.2)
    assert rank_mean([member])([member])[:, 0] == pytest.approx([3 / 8, 3 / 8, 7 / 8, 3 / 8])


def test_other_images_have_ranks_between_and_beyond_the_validation_images() -> None:
    """Of two at 0.4 and 0.6, with ranks 1/4 and 3/4."""
    mix = rank_mean([column(0.4, 0.6)])
    ranks = mix([column(0, 0.2, 0.4, 0.5, 0.6, 0.8, 1)])[:, 0]
    assert ranks == pytest.approx([0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8, 1])


def test_certain_validation_images_have_ranks_too() -> None:
    mix = rank_mean([column(0, 0, 1, 1)])
    assert mix([column(0, 0.5, 1)])[:, 0] == pytest.approx([1 / 4, 1 / 2, 3 / 4])
