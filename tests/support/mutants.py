"""Damage to a file's bytes, as disks, networks and editors do it: a function of a key."""

import random
import re
from collections.abc import Callable

Mutate = Callable[[bytearray, random.Random], object]

BLOCKS = (1, 2, 4, 8, 16, 64, 512, 4096)  # bytes
NUMBERS = (b"0", b"-1", b"1e308", b"NaN", b"null", b"2147483648", b"18446744073709551616", b"")


def mutant(data: bytes, key: str) -> bytes:
    """Return the data with some damage, another one for each key; never the data itself."""
    rng = random.Random(key)
    while True:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            rng.choice(KINDS)(changed, rng)
        if changed != data:
            return bytes(changed)


def _block(data: bytearray, rng: random.Random) -> slice:
    size = min(rng.choice(BLOCKS), len(data))
    start = rng.randrange(len(data) - size + 1)
    return slice(start, start + size)


def _flip_bit(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _change_byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _extreme_byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice(b'\0\x7f\x80\xff\n,"-[{0')


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _cut_end(data: bytearray, rng: random.Random) -> None:
    del data[len(data) - min(len(data), rng.choice(BLOCKS)) :]


def _append(data: bytearray, rng: random.Random) -> None:
    data += rng.choice((rng.randbytes(rng.choice(BLOCKS)), bytes(rng.choice(BLOCKS)), b"\n"))


def _zero(data: bytearray, rng: random.Random) -> None:
    block = _block(data, rng)
    data[block] = bytes(block.stop - block.start)


def _noise(data: bytearray, rng: random.Random) -> None:
    block = _block(data, rng)
    data[block] = rng.randbytes(block.stop - block.start)


def _remove(data: bytearray, rng: random.Random) -> None:
    del data[_block(data, rng)]


def _duplicate(data: bytearray, rng: random.Random) -> None:
    block = _block(data, rng)
    data[block.stop : block.stop] = data[block]


def _swap(data: bytearray, rng: random.Random) -> None:
    one = _block(data, rng)
    size = one.stop - one.start
    start = rng.randrange(len(data) - size + 1)
    other = slice(start, start + size)
    first, second = data[one], data[other]
    data[one] = second
    data[other] = first


def _number(data: bytearray, rng: random.Random) -> None:
    """Put another number in the place of one that is written in digits."""
    places = list(re.finditer(rb"-?\d+(?:\.\d+)?", data))
    if places:
        place = rng.choice(places)
        data[place.start() : place.end()] = rng.choice(NUMBERS)


KINDS: tuple[Mutate, ...] = (
    _flip_bit, _flip_bit, _change_byte, _extreme_byte, _truncate, _cut_end, _append, _zero, _noise,
    _remove, _duplicate, _swap, _number,
)  # fmt: skip
