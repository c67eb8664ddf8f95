"""Take a text apart by a pattern: literal text, fields, and `*` for what is unknown.

A text is split at its slashes, and each component is matched with the pattern's by itself. Literals
are placed as far to the left as they go, and as far to the right: if both give the same places,
there is one reading. That takes time that grows with the text alone. Only what is left goes through
a search over the possible readings, which remembers where it has been and is bounded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MAX_STEPS = 20_000
"""Of a search for readings. An archive's names come from others."""


class TooManyReadingsError(Exception):
    """A text has more possible readings than the search goes through."""


@dataclass(frozen=True)
class Field:
    """A field of a pattern.

    Attributes:
        name: The column, by its name, or by its position in digits.
        cut: The characters of it that are meant, as `slice` takes them; None for all.
        text: The field as it stands in the pattern: "{id[0]}".
    """

    name: str
    cut: tuple[int | None, int | None] | None
    text: str

    @property
    def key(self) -> str:
        """What tells it apart in a reading: the name, or for a cut field its text."""
        return self.name if self.cut is None else self.text

    def cut_from(self, value: str) -> str:
        """Return what the field is of its column's value; "" if the value is too short."""
        return value if self.cut is None else value[slice(*self.cut)]


@dataclass(frozen=True)
class Star:
    """One or more unknown characters."""

    text: str = "*"


STAR = Star()
Token = str | Field | Star
Reading = dict[str, str]


class Component:
    """The pattern of one component of a path.

    Attributes:
        tokens: What it consists of.
        literals: The literal texts before, between and after the fields and stars, "" where none.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tuple(tokens)
        self.literals = [""]
        self._variables: list[Field | Star] = []
        for token in tokens:
            if isinstance(token, str):
                self.literals[-1] += token
            else:
                self._variables.append(token)
                self.literals.append("")
        fields = ((n, each) for n, each in enumerate(self._variables) if isinstance(each, Field))
        self._keys = [(place, field.key) for place, field in fields]

    @classmethod
    def of_pattern(cls, text: str) -> "Component":
        """Return the component of a text in which `*` is unknown, and all else literal."""
        first, *others = text.split("*")
        return cls([first, *(token for literal in others for token in (STAR, literal) if token)])

    @property
    def text(self) -> str:
        """The pattern as it was written."""
        return "".join(each if isinstance(each, str) else each.text for each in self.tokens)

    @property
    def literal(self) -> str | None:
        """The text, if it has neither fields nor stars."""
        return None if self._variables else self.literals[0]

    @property
    def fields(self) -> list[Field]:
        """The fields, in order."""
        return [each for each in self._variables if isinstance(each, Field)]

    def fits(self, text: str) -> bool:
        """Return whether a text has a reading, whatever the fields' values."""
        return self._leftmost(text) is not None

    def read(self, text: str) -> tuple[int, list[tuple[str, str]]]:
        """Return 0, 1 or 2 for no, one, or perhaps several readings; and the fields of the one."""
        left = self._leftmost(text)
        if left is None:
            return 0, []
        if len(left) > 1 and left != self._rightmost(text):
            return 2, []
        return 1, [(key, text[slice(*left[place])]) for place, key in self._keys]

    def _leftmost(self, text: str) -> list[tuple[int, int]] | None:
        """Return the place of each variable, the earliest possible; None if it does not fit."""
        if not self._variables:
            return [] if text == self.literals[0] else None
        first, *inner, last = self.literals
        start, end = len(first), len(text) - len(last)
        if end <= start or not text.startswith(first) or not text.endswith(last):
            return None
        places = []
        for literal in inner:
            place = text.find(literal, start + 1, end)
            if place < 0:
                return None
            places.append((start, place))
            start = place + len(literal)
        return [*places, (start, end)] if start < end else None

    def _rightmost(self, text: str) -> list[tuple[int, int]]:
        """Return the place of each variable, the latest possible, of a text that fits."""
        start, end = len(self.literals[0]), len(text) - len(self.literals[-1])
        places = []
        for literal in self.literals[-2:0:-1]:
            place = text.rfind(literal, start, end - 1)
            places.append((place + len(literal), end))
            end = place
        return [(start, end), *reversed(places)]

    def readings(self, text: str, values: Reading, steps: Iterator[int]) -> Iterator[Reading]:
        """Yield the values that the fields may have, those of `values` fixed.

        Raises:
            TooManyReadingsError: The steps are used up.
        """
        seen: set[tuple[int, int, tuple[tuple[str, str], ...]]] = set()

        def follow(number: int, start: int, values: Reading) -> Iterator[Reading]:
            state = (number, start, tuple(values.items()))
            if state in seen:
                return
            seen.add(state)
            if next(steps, None) is None:
                raise TooManyReadingsError
            if number == len(self.tokens):
                if start == len(text):
                    yield values
                return
            token = self.tokens[number]
            if isinstance(token, Field) and token.name in values:
                token = token.cut_from(values[token.name]) or "/"  # which no component holds
            if isinstance(token, str):
                if text.startswith(token, start):
                    yield from follow(number + 1, start + len(token), values)
                return
            for end in range(start + 1, len(text) + 1):
                more = {}
                if isinstance(token, Field):
                    more = {token.key: text[start:end]}
                    if any(values.get(name, value) != value for name, value in more.items()):
                        continue
                yield from follow(number + 1, end, values | more)

        yield from follow(0, 0, values)


def readings(components: Sequence[Component], cuts: Sequence[Field], text: str) -> list[Reading]:
    """Return the readings of a text: none, the only one, or two of several.

    Args:
        components: The patterns of its components.
        cuts: Those fields of them that are a part of a column.
        text: The text.

    Raises:
        TooManyReadingsError: It takes too long to find out.
    """
    parts = text.split("/")
    if len(parts) != len(components):
        return []
    values: Reading = {}
    unclear: list[tuple[Component, str]] = []
    for component, part in zip(components, parts, strict=True):
        count, pairs = component.read(part)
        if count == 0:
            return []
        if count > 1:
            unclear.append((component, part))
        for key, value in pairs:
            if values.setdefault(key, value) != value:
                return []
    if not unclear:
        return _distinct([values], cuts) if cuts else [values]
    return _distinct(_combined(unclear, values, iter(range(MAX_STEPS))), cuts)


def _combined(
    unclear: Sequence[tuple[Component, str]], values: Reading, steps: Iterator[int]
) -> Iterator[Reading]:
    if not unclear:
        yield values
        return
    (component, part), *others = unclear
    for reading in component.readings(part, values, steps):
        yield from _combined(others, reading, steps)


def _distinct(candidates: Iterable[Reading], cuts: Sequence[Field]) -> list[Reading]:
    """Return the first two different readings in which the cut fields agree with the whole."""
    keys = {field.key for field in cuts}
    two: list[Reading] = []
    for reading in candidates:
        if all(
            field.cut_from(reading.get(field.name, "")) == reading[field.key]
            for field in cuts
            if field.key in reading
        ):
            whole = {name: value for name, value in reading.items() if name not in keys}
            if whole not in two:
                two.append(whole)
            if len(two) == 2:
                break
    return two
