import pytest

from darkroom.store.sampler import BatchRequest, EpochSampler


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
