"""Give targets the names of the submission's columns; refuse columns that fit none."""

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from darkroom.errors import DataError
from darkroom.index.assembly.labels import COMMON_WORDS, is_number, label_values
from darkroom.index.assembly.sample import Sample, key_templates
from darkroom.index.assembly.targets import Targets, free_name
from darkroom.index.card import TAKEN_SUFFIX
from darkroom.params.data import Data, is_pattern, target_columns
from darkroom.raw.tables import Table, refuse_rows

_DIGITS = "0123456789"


def refuse_unclear_word(data: Data, targets: Targets, answers: Sequence[str]) -> None:
    """Raise if two words of a binary task leave open which of them the judge asks for.

    The later in order is taken as present, if the submission's only column is named like it or the
    metric counts both alike.
    """
    absent, present = targets.label_values
    is_free = not {absent.lower(), present.lower()} & COMMON_WORDS
    if data.task != "binary" or data.values or not is_free or _plain(answers[0]) == _plain(present):
        return
    metric = data.metric or "accuracy"
    if _plain(answers[0]) == _plain(absent):
        what = "the submission's column is named like the label that means absent"
    elif not metric.endswith("accuracy") and not metric.startswith(("macro_f", "micro_f")):
        what = f"{metric} is of one of two labels, and which of them is present is not said"
    else:
        return
    raise DataError(
        what,
        found=f"the column {answers[0]!r}; {present!r} is taken as present, being later in order",
        expected="the label that the judge asks for",
        fix=f"say it by data.values: {{{absent}: 0, {present}: 1}}, or the other way round",
    )


def named_as_answers(data: Data, targets: Targets, answers: Sequence[str]) -> Targets:
    """Return targets under the names of the submission's columns, never by their order alone.

    They are matched by name; else without case, blanks and hyphens; else by what is left without
    a beginning and end that all of them share: class 4 is c4, and X_mean is X.

    Args:
        data: The section.
        targets: Of all parts.
        answers: The value columns of the submission; a single one has any name.

    Raises:
        DataError: A class or target is not in the header.
    """
    outputs = [name.removesuffix(TAKEN_SUFFIX) for name in targets.classes or targets.names]
    if len(answers) < 2 or set(outputs) == set(answers):
        return targets
    plain = [_plain(name) for name in outputs], [_plain(answer) for answer in answers]
    for own, others in (plain, (_cores(outputs, answers), _cores(answers, outputs))):
        by_form = dict(zip(others, answers, strict=True))
        is_one_each = len(by_form) == len(answers) and len(set(own)) == len(own)
        if is_one_each and set(own) == by_form.keys():
            return _renamed(targets, [by_form[form] for form in own])
    raise _unlike_answers(data, outputs, answers)


def _unlike_answers(data: Data, outputs: Sequence[str], answers: Sequence[str]) -> DataError:
    """Return the error for a header whose columns can't be told to be what is learned."""
    absent = [name for name in outputs if name not in answers]
    if not absent:
        return DataError(
            "the submission's header has columns that are not learned",
            found=", ".join(name for name in answers if name not in outputs)[:300],
            expected=f"a column each; the header has {', '.join(answers)[:300]}",
            fix=f"learn them too; data.train.targets has {', '.join(outputs)[:300]}",
        )
    free = [name for name in answers if name not in outputs]
    columns = target_columns(data.train)
    is_one = len(columns) == 1 and not is_pattern(columns[0])
    in_cells = is_one and data.separator is not None
    near = _likely(absent[0], outputs, answers, free)
    leave_out = "leave its rows out by data.train.where"
    if data.train.label is not None or in_cells:
        rename = "rename it in the table"
    elif data.values:
        rename = "write the names of the header as meanings in data.values"
    elif data.task == "multiclass" and is_one:
        rename = f"write data.values: {{{absent[0]!r}: {near!r}, ...}} with all classes"
    else:
        rename = f"write data.train.targets: {{{near!r}: {absent[0]!r}, ...}} with all columns"
        leave_out = "take it out of data.train.targets"
    return DataError(
        "the submission's header lacks what is learned",
        found=f"{len(absent)}: {', '.join(absent)[:300]}",
        expected=f"a column each; the header has {', '.join(answers)[:300]}",
        fix=f"is {absent[0]!r} the column {near!r}? Then {rename}; else {leave_out}"
        if free
        else leave_out,
    )


def _likely(name: str, outputs: Sequence[str], answers: Sequence[str], free: Sequence[str]) -> str:
    """Return the free column that resembles a name, else that in its place, "" where none is."""
    if not free:
        return ""
    if near := get_close_matches(name, free, 1):
        return near[0]
    own = answers[outputs.index(name)] if len(outputs) == len(answers) else free[0]
    return own if own in free else free[0]


def untrained_answers(targets: Targets, answers: Sequence[str], sample: Sample | None) -> list[str]:
    """Return the classes of the header's columns that no image to learn from has.

    Raises:
        DataError: The sample submission holds words in such a column: it is no class.
    """
    if len(answers) < 2 or not targets.classes or targets.soft:
        return []
    parts = [numbers for key, numbers in targets.numbers.items() if key != "test"]
    trained = {targets.classes[int(number)] for part in parts for number in part[:, 0]}
    untrained = [name for name in answers if name not in trained]
    if sample is not None:
        for name in untrained:
            _refuse_words(sample.table, name)
    return untrained


def written_as_sample(data: Data, targets: Targets, sample: Sample | None) -> Targets:
    """Return targets with the sample submission's words for absent and present: 0 and 1, say.

    So they are written if it is known what both pairs mean: the sample's is a usual one, and so is
    that of training, or data.values says which is which. A single number that training does not
    have says nothing.
    """
    if sample is None or data.task not in ("binary", "multilabel"):
        return targets
    if not data.values and not {word.lower() for word in targets.label_values} <= COMMON_WORDS:
        return targets
    names = sample.header[len(key_templates(data)) :]
    words = {cell.strip() for name in names for cell in {*sample.table.column(name)}} - {""}
    is_usual = bool(words) and {word.lower() for word in words} <= COMMON_WORDS
    if not is_usual or words & {*targets.label_values}:
        return targets
    numbers = [*words, *targets.label_values]
    if not data.values and len(words) == 1 and all(map(is_number, numbers)):
        number, *pair = map(float, numbers)
        if number not in pair:  # it may only fill the column: -1 where training has 0 and 1
            return targets
    return replace(targets, label_values=label_values(words))


def _refuse_words(table: Table, name: str) -> None:
    cells = table.column(name)
    places = [place for place, cell in enumerate(cells) if cell and not is_number(cell)]
    if places:
        refuse_rows(
            table,
            places,
            f"column {name} holds {cells[places[0]]!r}, and no training image is {name}",
            expected="a number in the column of a class",
            fix="remove the column from the sample submission, if the judge wants no answer there",
        )


def _cores(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return names without what they all begin and end with, numbers as other names have them.

    That the names share words is no reason to match them: unless they are numbers, the others
    must share a part of these words, or have none.
    """
    front, back = _shared(names)
    cores = [name[len(front) : len(name) - len(back)] for name in names]
    if all(core.isdecimal() for core in cores):
        return [core.lstrip("0") or "0" for core in cores]
    head, tail = _shared(others)
    alike = (front.endswith(head) or head.endswith(front)) and (
        back.startswith(tail) or tail.startswith(back)
    )
    return [_plain(core) for core in cores] if alike else list(names)


def _shared(names: Sequence[str]) -> tuple[str, str]:
    """Return what all names begin and end with, but for digits: 10 and 11 do not share 1."""
    front = _beginning(names).rstrip(_DIGITS)
    rest = [name[len(front) :] for name in names]
    return front, _beginning([name[::-1] for name in rest]).rstrip(_DIGITS)[::-1]


def _beginning(names: Sequence[str]) -> str:
    """Return the longest text that all names begin with."""
    least, greatest = min(names), max(names)
    pairs = zip(least, greatest, strict=False)
    length = next((place for place, (a, b) in enumerate(pairs) if a != b), len(least))
    return least[:length]


def _plain(name: str) -> str:
    """Return a name without case, blanks, hyphens and underscores."""
    return re.sub(r"[\s_-]", "", name).casefold()


def _renamed(targets: Targets, answers: Sequence[str]) -> Targets:
    """Return targets under the names of the submission's columns, in their own order."""
    names = tuple(map(free_name, answers))
    if targets.classes:
        own = names if targets.soft else targets.names
        return replace(targets, classes=tuple(answers), names=own)
    return replace(targets, names=names)
