"""Take a recipe into params.yaml, comments and all; or list the recipes."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.tokens import (
    CommentToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
)

from darkroom.cli import recipes
from darkroom.errors import ParamsError, ResourceError
from darkroom.params import document
from darkroom.params import file as paramfile
from darkroom.params.competition import Params
from darkroom.params.section import TaskName
from darkroom.project import files
from darkroom.project.paths import PARAMS

RECIPES = Path("recipes")
BOM = "\ufeff"
WIDE = 2**30  # no line is broken
TERMINAL = 80  # characters of a line in a list

_ABSENT = object()
_COMMENT = re.compile(r"(?:^|\s)#")


def run(recipe: str | None = None) -> None:
    """Merge a recipe into params.yaml, or list the recipes.

    Args:
        recipe: A name in the folder `recipes`, or the path of a YAML file; None: list them.

    Raises:
        ParamsError: params.yaml or the recipe is invalid; nothing is written.
        ResourceError: params.yaml is read-only.
    """
    if recipe is None:
        print(_table(recipes.read_recipes(RECIPES)))
        return
    chosen = recipes.read_recipe(recipes.find_recipe(recipe, RECIPES))

    path = Path(PARAMS).resolve()  # of a link, the file itself
    paramfile.read_params(Path(PARAMS))
    if not os.access(path, os.W_OK):
        raise ResourceError("it may not be written to", file=PARAMS, fix=f"chmod u+w {PARAMS}")
    original = document.read_text(path)
    text = original.removeprefix(BOM).replace("\r\n", "\n")
    old = document.parse_mapping(text, file=PARAMS)

    merged = recipes.merge_recipe(old, chosen)
    params = paramfile.validate_params(merged, file=chosen.file)
    new = _with_defaults(old, merged, params)
    try:
        _refuse_comments_in_flow(text)
        edited = edit(text, new, chosen.text)
    except YAMLError as error:  # some texts only the parser above can read
        raise ParamsError(
            "a recipe can't be merged into it",
            file=PARAMS,
            found=str(error).splitlines()[0],
            fix="write it, and the recipe, without tabs, or edit by hand",
        ) from error
    result = _result(edited, old, new)

    mode = stat.S_IMODE(path.stat().st_mode)
    files.write(path, _with_ends_of(original, edited), mode=mode)
    print(_summary(chosen, changes(old, result)))


def _with_defaults(old: dict[str, Any], merged: dict[str, Any], params: Params) -> dict[str, Any]:
    """Return the merged parameters, the keys that the recipe leaves out set to their defaults.

    So their lines and comments stay in the file.
    """
    new = dict(merged)
    for name in params.sections.keys() & old.keys():
        typed = params.section(name).model_dump(by_alias=True)
        new[name] = {}
        for section, keys in merged[name].items():
            defaults = {
                key: typed[section][key] for key in old[name][section] if key in typed[section]
            }
            new[name][section] = keys if section == "data" else defaults | keys
    return new


def _result(edited: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an edited text, once they are those intended.

    What the recipe changes in a section may change in one that inherits from it (`<<: *other`).

    Raises:
        ParamsError: The text does not mean `new`; or what a section inherits is invalid there.
    """
    try:
        result = document.parse_mapping(edited, file=PARAMS)
    except ParamsError:
        result = {}
    own = {key for key in new if new[key] != old.get(key)}
    lines = {line for key in own for line in changes(old.get(key, {}), new[key], depth=2)}
    heirs = {
        key: result[key]
        for key in new.keys() - own
        if key in result and lines.issuperset(changes(old[key], result[key], depth=2))
    }
    expected = paramfile.validate_params({**new, **heirs}, file=PARAMS)
    try:
        is_intended = paramfile.validate_params(result, file=PARAMS) == expected
    except ParamsError:
        is_intended = False
    if not is_intended:
        raise ParamsError(
            "a recipe can't be merged into it",
            file=PARAMS,
            found="values shared by aliases (*), or a layout other than key: value lines",
            fix="write out what is shared, or edit by hand",
        )
    return result


def changes(old: Any, new: Any, path: tuple[str, ...] = (), depth: int = 3) -> list[str]:
    """Return a line for each key that changes, comes or goes, mappings compared down to a depth.

    Example:
        >>> changes({"seed": 7, "a": {"lr": 1}}, {"seed": 7, "a": {"lr": 2, "ema": None}})
        ['a.lr: 1 -> 2', 'a.ema: (none) -> null']
    """
    if depth and isinstance(new, dict) and (isinstance(old, dict) or old is _ABSENT):
        old = {} if old is _ABSENT else old
        return [
            change
            for key in {**old, **new}
            for change in changes(
                old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key), depth - 1
            )
        ]
    return [] if _same(old, new) else [f"{'.'.join(path)}: {_line(old)} -> {_line(new)}"]


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same: 1 is 1.0 but not true."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _line(value: Any) -> str:
    if value is _ABSENT:
        return "(none)"
    ruamel = YAML(typ="safe", pure=True)
    ruamel.default_flow_style = True
    ruamel.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    ruamel.width = WIDE
    stream = StringIO()
    ruamel.dump(value, stream)
    return stream.getvalue().removesuffix("\n").removesuffix("\n...")


def _refuse_comments_in_flow(text: str) -> None:
    """Refuse comments between the lines of `{...}` or `[...]`, which ruamel does not keep."""
    lines, starts = text.split("\n"), list[int]()
    for token in YAML(typ="safe", pure=True).scan(text):
        if isinstance(token, FlowMappingStartToken | FlowSequenceStartToken):
            starts.append(token.start_mark.line)
        elif isinstance(token, FlowMappingEndToken | FlowSequenceEndToken):
            for number in range(starts.pop(), token.end_mark.line):
                if _COMMENT.search(lines[number]):
                    raise ParamsError(
                        "a recipe can't be merged into it",
                        file=PARAMS,
                        row=number + 1,
                        found=lines[number].strip(),
                        expected="no comment between the lines of {...} or [...]",
                        fix="move the comment above its key",
                    )


def _with_ends_of(original: str, edited: str) -> str:
    """Return a text with the byte order mark and the line ends of the one that it comes from.

    A new line ends as the first one does.
    """
    lines = original.removeprefix(BOM).splitlines(keepends=True)
    plain = [line.removesuffix("\n").removesuffix("\r") for line in lines]
    new = edited.split("\n")
    ends = ["\r\n" if lines and lines[0].endswith("\r\n") else "\n"] * len(new)
    for start, other, size in SequenceMatcher(
        None, plain, new, autojunk=False
    ).get_matching_blocks():
        for step in range(size):
            ends[other + step] = lines[start + step][len(plain[start + step]) :] or ends[0]
    body = "".join(line + end for line, end in zip(new[:-1], ends, strict=False)) + new[-1]
    return f"{BOM if original.startswith(BOM) else ''}{body}"


def _summary(recipe: recipes.Recipe, changed: list[str]) -> str:
    if not changed:
        return f"{PARAMS} is already as {recipe.name} has it"
    lines = [*changed, ""]
    if recipe.expected:
        lines.append(f"expect {recipe.expected}")
    return "\n".join([*lines, "run it: dvc repro"])


def _table(found: list[recipes.Recipe]) -> str:
    if not found:
        raise ParamsError("there are no recipes", file=RECIPES, fix="run in the project's root")
    tasks: list[str] = [*get_args(TaskName), ""]
    rank = {task: number for number, task in enumerate(tasks)}
    by_kind = sorted(found, key=lambda each: (rank.get(each.task, len(tasks)), each.metric))
    lines = []
    for task, group in groupby(by_kind, key=lambda each: each.task):
        lines += ["", task or "of your own data", *_lines(list(group))]
    lines += ["", "darkroom use NAME takes one into params.yaml; recipes/NAME.yaml says more."]
    return "\n".join(lines[1:])


def _lines(group: Sequence[recipes.Recipe]) -> list[str]:
    """Return a line a recipe: name, metric, time and score, and the purpose where it fits.

    A line that would be too long is not aligned with the others.
    """
    cells = [(each.name, each.metric, each.figures) for each in group]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for each, row in zip(group, cells, strict=True):
        line = "".join(
            f"  {cell:{width}}" for cell, width in zip(row, widths, strict=True) if width
        )
        forms = (f"{line}  {each.purpose}", line, "  " + "  ".join(filter(None, row)))
        lines.append(next((form for form in forms if len(form) <= TERMINAL), forms[-1]).rstrip())
    return lines


class _Null:
    """A null as its file writes it: `null`, `~` or nothing. A new one is nothing, as DVC has it."""

    def __init__(self, text: str) -> None:
        self.text = text

    @staticmethod
    def represent(representer: Any, null: "_Null") -> Any:
        return representer.represent_scalar("tag:yaml.org,2002:null", null.text)


class _Constructor(RoundTripConstructor):
    """Keep how nulls are written."""


_Constructor.add_constructor("tag:yaml.org,2002:null", lambda _, node: _Null(node.value))


def edit(text: str, new: Mapping[str, Any], donor: str = "") -> str:
    """Return a YAML text with other values; its comments and the order of its keys stay.

    Args:
        text: A mapping.
        new: The values.
        donor: Another YAML text: a value under the same keys is written as there (`1e-3`, not
            `0.001`), and a new key brings its comment along.

    Example:
        >>> donor = "train: {lr: 1e-3}"
        >>> new = {"train": {"lr": "1e-3", "ema": None}}
        >>> print(edit("train: # how\\n  lr: 0.1   # peak\\n", new, donor), end="")
        train: # how
          lr: 1e-3  # peak
          ema:
    """
    ruamel = YAML()
    ruamel.Constructor = _Constructor
    ruamel.representer.add_representer(_Null, _Null.represent)
    ruamel.preserve_quotes = True
    ruamel.width = WIDE
    root = ruamel.load(text)
    mapping, offset = _indents(root)
    ruamel.indent(mapping, sequence=offset + 2, offset=offset)
    _update(root, document.parse_mapping(text, file=PARAMS), new, ruamel.load(donor))
    stream = StringIO()
    ruamel.dump(root, stream)
    return stream.getvalue()


def _indents(node: CommentedMap, mapping: int = 2, offset: int = 0) -> tuple[int, int]:
    """Return how far the keys of a mapping are indented, and the dashes of a list."""
    for value in filter(_is_block, node.values()):
        indent = value.lc.col - node.lc.col
        if isinstance(value, CommentedMap):
            mapping, offset = _indents(value, indent, offset)
        else:
            offset = indent
    return mapping, offset


def _is_block(value: Any) -> bool:
    """Return whether a value is a collection in lines of its own."""
    is_collection = isinstance(value, CommentedMap | CommentedSeq)
    return is_collection and len(value) > 0 and not value.fa.flow_style()


def _update(
    node: CommentedMap,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    donor: Any,
    parent: tuple[CommentedMap, str] | None = None,
) -> None:
    """Set the values of a mapping, which stands in `parent` under a key."""
    donor = donor if isinstance(donor, CommentedMap) else CommentedMap()
    for key, value in new.items():
        if key not in old:
            _append(node, key, value, donor, is_section=parent is None)
        elif isinstance(value, dict) and _lacks_own_lines(node, key, value):
            if not _same(old[key], value):
                node[key] = _flow(value)
        elif isinstance(value, dict) and isinstance(node[key], CommentedMap):
            _update(node[key], old[key], value, donor.get(key), (node, key))
        elif not _same(old[key], value):
            below = _cut(node, key)
            node[key] = _flow(donor.get(key, value))
            _paste(node, key, below)
    for key in [key for key in old if key not in new]:
        keys, below = list(node), _cut(node, key)
        before = keys.index(key) - 1
        node.pop(key)
        node.ca.items.pop(key, None)
        if before >= 0:
            _paste(node, keys[before], below)
        elif parent:
            _extend(*parent, below)
    if not node:
        node.fa.set_flow_style()  # {}: else what is below it would be written before it


def _lacks_own_lines(node: CommentedMap, key: str, new: Mapping[str, Any]) -> bool:
    """Return whether a mapping can't be edited where it stands, because of `<<: *other`.

    It stands in the other one, or holds a key of the other one that is to go.
    """
    inherited = _inherited(node[key]) if isinstance(node[key], CommentedMap) else set[str]()
    return key in _inherited(node) or not inherited <= new.keys()


def _inherited(node: CommentedMap) -> set[str]:
    """Return the keys of a mapping that another one gives it by `<<`."""
    return set(node) - {key for key, _ in node.non_merged_items()}


def _append(
    node: CommentedMap, key: str, value: Any, donor: CommentedMap, *, is_section: bool
) -> None:
    """Add a key behind the last one, with the donor's comment."""
    if not node or node.fa.flow_style():  # in one line, where a comment would end it
        node[key] = _flow(donor.get(key, value))
        node.fa.set_flow_style()
        return
    last = list(node)[-1]
    below, above, comment = _cut(node, last), _comment(node, last), _comment(donor, key)
    if is_section:
        _paste(node, last, f"{below}\n")
        node[key] = donor.get(key, value)
        _set_comment(node, key, comment)
        _cut(node, key)
        return
    node[key] = _flow(donor.get(key, value))
    if comment and comment.value.startswith("#"):
        column = above.start_mark.column if above and above.value.startswith("#") else 0
        line = comment.value.partition("\n")[0]
        _set_comment(node, key, CommentToken(f"{line}\n", CommentMark(column)))
    _paste(node, key, below)


def _flow(value: Any) -> Any:
    """Return a value whose collections stand in one line, without their comments."""
    flow: Any
    if isinstance(value, dict):
        flow = CommentedMap((key, _flow(each)) for key, each in value.items())
    elif isinstance(value, list):
        flow = CommentedSeq(map(_flow, value))
    else:
        return value
    flow.fa.set_flow_style()
    return flow


# Behind a value ruamel keeps one token: the comment on its line, and all lines up to the next key.
# These lines stay in their place when the value above them goes, or another one comes.


def _cut(node: Any, key: str | int) -> str:
    """Take away and return the lines below a key and its value: comments and blank ones."""
    lines, path = "", _path(node, key)
    if token := _comment(*path[-1]):
        own, _, lines = token.value.partition("\n")
        _set_comment(*path[-1], CommentToken(f"{own}\n", token.start_mark) if own else None)
    for block, _ in reversed(path[1:]):
        lines += "".join(f"{' ' * end.column}{end.value}" for end in block.ca.end or ())
        block.ca.end = []
    return lines


def _paste(node: Any, key: str | int, lines: str) -> None:
    """Add lines below a key and its value."""
    _extend(*_path(node, key)[-1], lines)


def _extend(node: Any, key: str | int, lines: str) -> None:
    if lines:
        token = _comment(node, key)
        above, mark = (token.value, token.start_mark) if token else ("\n", CommentMark(0))
        _set_comment(node, key, CommentToken(f"{above}{lines}", mark))


def _path(node: Any, key: str | int) -> list[tuple[Any, str | int]]:
    """Return the places from a key to the last value below it, itself if it is in one line."""
    path = [(node, key)]
    while _is_block(value := node[key]):
        node, key = value, len(value) - 1 if isinstance(value, CommentedSeq) else list(value)[-1]
        path.append((node, key))
    return path


def _comment(node: Any, key: str | int) -> CommentToken | None:
    tokens = node.ca.items.get(key)
    return tokens[_slot(node)] if tokens else None


def _set_comment(node: Any, key: str | int, token: CommentToken | None) -> None:
    node.ca.items.setdefault(key, [None] * 4)[_slot(node)] = token


def _slot(node: Any) -> int:
    return 0 if isinstance(node, CommentedSeq) else 2
