"""The members of a container in flat arrays: a dict of a million names takes a quarter gigabyte."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_AT_ONCE = 2**16


class Members(Mapping[str, int]):
    """Sizes in bytes by member name, in order of names.

    Args:
        names: Arrow strings, each once.
        sizes: int64, one a name.

    Attributes:
        names: Arrow strings (large_string), sorted.
        sizes: int64, of each.
        order: int64, the place of each in the arrays that were passed.
        has_twins: Whether a name comes twice, which it must not.

    Example:
        >>> members = Members(pa.array(["b.jpg", "a.jpg"]), np.array([20, 10]))
        >>> members["b.jpg"], list(members), "c.jpg" in members
        (20, ['a.jpg', 'b.jpg'], False)
    """

    def __init__(self, names: pa.Array, sizes: Ints) -> None:
        names = names.cast(pa.large_string())
        self.order = np.arange(len(names))
        self.has_twins = False
        if len(names) > 1 and not pc.all(pc.less(names[:-1], names[1:])).as_py():
            self.order = pc.array_sort_indices(names).to_numpy().astype(np.int64)
            names = names.take(pa.array(self.order))
            self.has_twins = pc.any(pc.equal(names[:-1], names[1:])).as_py()
        self.names, self.sizes = names, np.asarray(sizes, np.int64)[self.order]
        self._hashes = array("q")
        self._by_hash = np.empty(0, np.int32)

    @classmethod
    def of_dict(cls, sizes: Mapping[str, int]) -> "Members":
        """Return the members of a dict of sizes in bytes."""
        names = pa.array(list(sizes), pa.large_string())
        return cls(names, np.fromiter(sizes.values(), np.int64, len(sizes)))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.names), _AT_ONCE):
            yield from self.names[start : start + _AT_ONCE].to_pylist()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.place(name) >= 0

    def __getitem__(self, name: str) -> int:
        place = self.place(name)
        if place < 0:
            raise KeyError(name)
        return int(self.sizes[place])

    def place(self, name: str) -> int:
        """Return a name's place in `names`; -1 if it is not there."""
        if len(self._hashes) < len(self):
            hashes = np.fromiter(map(hash, self), np.int64, len(self))
            self._by_hash = np.argsort(hashes).astype(np.int32)
            self._hashes = array("q", hashes[self._by_hash].tobytes())
        wanted = hash(name)
        at = bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            place = int(self._by_hash[at])
            if self.names[place].as_py() == name:
                return place
            at += 1
        return -1

    def places(self, names: pa.Array) -> Ints:
        """Return the place of each of many names in `names`; -1 where it is not there."""
        places = pc.index_in(names.cast(pa.large_string()), self.names).fill_null(-1)
        return np.asarray(places, np.int64)
