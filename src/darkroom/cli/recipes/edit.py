"""Edit params.yaml as a text: other values, its comments and the order of its keys stay.

And say what changed.
"""

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

from darkroom.params import document
from darkroom.project.paths import PARAMS

WIDE = 2**30  # no line is broken

_ABSENT = object()


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
    old, sections = document.parse_mapping(text, file=PARAMS), ruamel.load(donor)
    if donor:
        _share(root, old, new, sections, document.parse_mapping(donor, file="the donor"))
    _update(root, old, new, sections)
    stream = StringIO()
    ruamel.dump(root, stream)
    return stream.getvalue()


def _share(
    root: CommentedMap,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    donor: CommentedMap,
    plain: Mapping[str, Any],
) -> None:
    """Put into the donor's new sections what is to differ from the donor: `data` of the user's.

    By an alias where another section holds it, so that it stands in one place.
    """
    for name in [name for name in new if name in plain and name not in old]:
        values = new[name] if isinstance(new[name], dict) else {}
        different = [
            key
            for key, value in values.items()
            if isinstance(value, dict) and not _is_same(plain[name].get(key), value)
        ]
        if different:  # in a new mapping, since one that is merged into others can't be edited
            section = CommentedMap((key, _held(root, old, key, values[key])) for key in different)
            section.update((key, node) for key, node in donor[name].items() if key not in section)
            section.ca.items.update(donor[name].ca.items)
            donor[name] = section
            if (tokens := donor.ca.items.get(name)) and tokens[3]:  # the comment behind an anchor
                _set_comment(donor, name, tokens[3][0])


def _held(root: CommentedMap, old: Mapping[str, Any], key: str, value: Any) -> Any:
    """Return the mapping that a section holds under a key, with an anchor; or the value."""
    for name, section in old.items():
        if isinstance(section, dict) and _is_same(section.get(key), value):
            node = root[name][key]
            if isinstance(node, CommentedMap) and not node.anchor.value:
                node.yaml_set_anchor(f"{name}_{key}")
            return node
    return _flow(value)


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
            if not _is_same(old[key], value):
                node[key] = _flow(value)
        elif isinstance(value, dict) and isinstance(node[key], CommentedMap):
            _update(node[key], old[key], value, donor.get(key), (node, key))
        elif not _is_same(old[key], value):
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
    return [] if _is_same(old, new) else [f"{'.'.join(path)}: {_line(old)} -> {_line(new)}"]


def _is_same(one: Any, other: Any) -> bool:
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
