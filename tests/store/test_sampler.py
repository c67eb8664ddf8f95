import numpy as np
import pytest

from darkroom.store.sampler import (
    BatchRequest,
    EpochSampler,
    Foreground,
    Sampling,
    class_balanced,
    label_balanced,
)


def rows_of(sampler: EpochSampler) -> list[int]:
    return [row for order in sampler for row in order.rows]


def test_without_a_seed_the_order_is_that_given() -> None:
    sampler = EpochSampler([3, 1, 2], 2, seed=None)
    assert list(sampler) == [BatchRequest(0, (3, 1)), BatchRequest(0, (2,))]
    sampler.start(5)
    assert list(sampler) == [BatchRequest(5, (3, 1)), BatchRequest(5, (2,))]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    one, other = (EpochSampler(range(100), 8, seed=7) for _ in range(2))
    first = rows_of(one)
    one.start(1)
    second = rows_of(one)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(100))
    other.start(1)
    assert rows_of(other) == second
    assert rows_of(EpochSampler(range(100), 8, seed=8)) != first


def test_the_order_is_pinned() -> None:
    assert rows_of(EpochSampler(range(8), 3, seed=7)) == PINNED


PINNED = [0, 6, 7, 2, 4, 5, 1, 3]


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_the_last_batch_is_dropped_only_on_request(drop_last: bool, sizes: list[int]) -> None:
    sampler = EpochSampler(range(10), 4, seed=1, drop_last=drop_last)
    assert [len(order.rows) for order in sampler] == sizes
    assert len(sampler) == len(sizes)


def test_a_batch_size_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        EpochSampler([1], 0, seed=None)


def test_an_epoch_may_be_begun_at_any_batch() -> None:
    whole = EpochSampler(range(10), 3, seed=7)
    whole.start(2)
    orders = list(whole)
    for batch in range(5):
        late = EpochSampler(range(10), 3, seed=7)
        late.start(2, batch)
        assert list(late) == orders[batch:]
        assert len(late) == 4, "of the whole epoch"
    late.start(3)
    whole.start(3)
    assert list(late) == list(whole)


@pytest.mark.parametrize("seed", [None, 7])
def test_ranks_share_every_batch(seed: int | None) -> None:
    whole = EpochSampler(range(10), 4, seed=seed)
    orders = list(whole)
    assert [whole.rows_in_batch(batch) for batch in range(3)] == [4, 4, 2]
    shares = []
    for rank in range(2):
        mine = EpochSampler(range(10), 4, seed=seed)
        mine.share(rank, 2)
        assert len(mine) == 3
        shares.append(list(mine))
    for order, *parts in zip(orders, *shares, strict=True):
        assert sorted(row for part in parts for row in part.rows) == sorted(order.rows)
        assert len({len(part.rows) for part in parts}) == 1


@pytest.mark.parametrize(("seed", "lengths"), [(None, [3, 2, 2]), (7, [2, 2, 2])])
def test_a_last_batch_with_too_few_rows_for_all(seed: int | None, lengths: list[int]) -> None:
    for rank, length in enumerate(lengths):
        mine = EpochSampler(range(7), 3, seed=seed)
        mine.share(rank, 3)
        assert len(mine) == length
        assert [len(order.rows) for order in mine] == [1] * length


def test_more_ranks_than_rows_in_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="3 ranks share a batch of 2"):
        EpochSampler(range(7), 2, seed=1).share(0, 3)


CLASSES = np.repeat([0, 1, 2], [80, 15, 5])


def balanced(epoch: int = 0, **kwargs: int) -> EpochSampler:
    sampler = EpochSampler(range(100), 8, seed=7, sampling=class_balanced(CLASSES))
    sampler.start(epoch, **kwargs)
    return sampler


def test_classes_are_drawn_evenly_and_their_rows_too() -> None:
    totals = np.zeros(3, int)
    for epoch in range(30):
        rows = rows_of(balanced(epoch))
        assert len(rows) == 100
        counts = np.bincount(CLASSES[rows], minlength=3)
        assert set(counts.tolist()) <= {33, 34}, "the share of a class, rounded up or down"
        totals += counts
        times = np.bincount(rows, minlength=100)
        for number, most in ((0, 1), (1, 3), (2, 7)):
            of_class = times[number == CLASSES]
            assert of_class.max() - of_class.min() <= 1, "no row again before all of its class"
            assert of_class.max() <= most
    assert np.ptp(totals) <= 15  # 1,000 each, but for chance


def test_two_classes_of_which_one_has_no_row_here() -> None:
    sampler = EpochSampler([4, 5, 6], 3, seed=1, sampling=class_balanced(np.array([0, 3, 3])))
    (request,) = sampler
    assert sorted(request.rows)[0] == 4


def test_a_rare_label_is_repeated_by_the_square_root() -> None:
    """Of 100 rows 2 have a rare label, factor sqrt(.5 / .02) = 5, and 8 another, factor 2.5."""
    present = np.zeros((100, 2), bool)
    present[:10, 0] = True  # 10 of 100: factor sqrt(5)
    present[:2, 1] = True  # 2 of 100: factor 5, greater
    weights = np.repeat([5, 5**0.5, 1], [2, 8, 90])
    expected = 100 * weights / weights.sum()
    sampler = EpochSampler(range(100), 100, seed=3, sampling=label_balanced(present))
    times = np.zeros(100)
    epochs = 400
    for epoch in range(epochs):
        sampler.start(epoch)
        counts = np.bincount(rows_of(sampler), minlength=100)
        for group in (slice(0, 2), slice(2, 10), slice(10, 100)):
            assert abs(counts[group].sum() - expected[group].sum()) < 1
        times += counts
    assert times / epochs == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("empty", [0, 50, 90, 99])
def test_a_third_of_the_windows_hold_foreground(empty: int) -> None:
    present = np.arange(100) >= empty
    sampler = EpochSampler(range(100), 7, seed=5, sampling=Foreground(present))
    for epoch in range(5):
        sampler.start(epoch)
        requests = list(sampler)
        rows = np.concatenate([request.rows for request in requests])
        forced = np.concatenate([request.foreground for request in requests])
        assert len(rows) == 100
        assert forced.sum() == 34
        assert present[rows[forced]].all()
        times = np.bincount(rows, minlength=100)
        if empty <= 66:
            assert set(times) == {1}, "enough have foreground: each row once"
        else:
            assert times[:empty].max() == 1
            assert np.ptp(times[empty:]) <= 1


@pytest.mark.parametrize("sampling", [class_balanced(CLASSES), Foreground(CLASSES > 1)])
def test_a_sampled_epoch_may_be_begun_at_any_batch_and_shared(sampling: Sampling) -> None:
    whole = EpochSampler(range(100), 8, seed=7, sampling=sampling)
    whole.start(2)
    requests = list(whole)
    for batch in (1, 7, 12):
        late = EpochSampler(range(100), 8, seed=7, sampling=sampling)
        late.start(2, batch)
        assert list(late) == requests[batch:]
    ranks = []
    for rank in range(2):
        mine = EpochSampler(range(100), 8, seed=7, sampling=sampling)
        mine.start(2)
        mine.share(rank, 2)
        ranks.append(list(mine))
    for request, *parts in zip(requests, *ranks, strict=True):
        for name in ("rows", "repeats", "foreground"):
            values = getattr(request, name)
            assert [getattr(part, name) for part in parts] == [values[0::2], values[1::2]]


def test_repeats_count_how_often_a_row_came_before() -> None:
    seen: dict[int, int] = {}
    for request in balanced():
        for row, repeat in zip(request.rows, request.repeats, strict=True):
            assert repeat == seen.get(row, 0)
            seen[row] = repeat + 1
    assert max(seen.values()) > 5


def test_sampling_needs_a_seed() -> None:
    with pytest.raises(ValueError, match="sampling needs a seed"):
        EpochSampler([1], 1, seed=None, sampling=Foreground(np.array([True])))
