"""The names that people read in place of the classes that the submission writes: 5 euros for 0."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from darkroom.errors import DataError, ParamsError
from darkroom.index.assembly.part import Part, template_cells
from darkroom.index.card import counted
from darkroom.params.data import Data, target_columns
from darkroom.params.section import is_writable
from darkroom.project.names import nearest_name

KEY = "data.names"


def class_names(data: Data, train: Part, classes: Sequence[str]) -> tuple[str, ...]:
    """Return what each class is called, where the section says it; else ().

    Args:
        data: The section; `names` is a mapping from classes, or a column of the training table.
        train: The training rows.
        classes: As the submission writes them. Those that the section does not name keep their
            own.

    Raises:
        ParamsError: A name is of no class, or two classes have one name.
        DataError: The table has no such column, or names a class in two ways.
    """
    if data.names is None or data.names == {}:
        return ()
    labels = frozenset(classes)
    if isinstance(data.names, dict):
        name_of = {str(label): str(name).strip() for label, name in data.names.items()}
        if unknown := [label for label in name_of if label not in labels]:
            near = nearest_name(unknown[0], classes)
            raise ParamsError(
                f"{KEY} names {unknown[0]!r}, which is no class",
                found=counted(unknown),
                expected=f"classes: {', '.join(classes)[:300]}",
                fix=f"is it {near!r}?" if near else "remove it",
            )
    else:
        name_of = _names_in_table(data, train, labels)
    names = tuple(name_of.get(label, label) for label in classes)
    looks = [_look(name) for name in names]
    name, count = Counter(looks).most_common(1)[0]
    if count > 1 or "" in looks:
        name = name if count > 1 else ""
        several = [label for label, look in zip(classes, looks, strict=True) if look == name]
        raise ParamsError(
            f"{KEY}: a class has the name of another, or none",
            found=f"{name!r} for {', '.join(several)}",
            expected="a name of its own for each class",
            fix=f"name another column, or write them: {KEY}: {{{several[0]}: ...}}",
        )
    return names


def _look(name: str) -> str:
    """Return what the eye sees of a name: no invisible characters, and one é for both spellings."""
    shown = "".join(each for each in name if unicodedata.category(each) != "Cf")
    return unicodedata.normalize("NFC", shown).strip()


def _names_in_table(data: Data, train: Part, classes: Collection[str]) -> dict[str, str]:
    """Return the name of each class that has rows in the training table.

    Cells that say no class, which null in data.values leaves out, are passed over.
    """
    meanings = {str(text): str(meaning) for text, meaning in data.values.items()}
    (target,) = target_columns(train.rows)
    cells = train.table.column(target, "data.train.targets")
    name_of: dict[str, tuple[str, int]] = {}
    for place, (cell, text) in enumerate(
        zip(cells, template_cells(train.table, data.names, KEY), strict=True)  # type: ignore[arg-type]
    ):
        label, name = meanings.get(cell, cell), text.strip()
        if label not in classes or place in train.blank:
            continue
        first, row = name_of.setdefault(label, (name, place))
        if name != first or not is_writable(name):
            lines = train.table.lines
            raise DataError(
                f"{KEY}: class {label!r} has two names, or one that is no line of text",
                file=train.table.file,
                row=lines[place],
                found=f"{name!r}, and {first!r} in row {lines[row]}",
                expected="one name for each class",
                fix=f"name another column, or write {KEY}: {{{label}: {first}}}",
            )
    return {label: name for label, (name, _) in name_of.items()}
