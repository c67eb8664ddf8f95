"""Edits of params.yaml that leave every other character of it as it stands, comments too.

Values are put into the text where a YAML reader finds them. To write the whole file anew,
even with a library that keeps comments, would change lines nobody asked about (`null`, spaces,
quotes), and move the comments behind a key that comes or goes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import CollectionNode, MappingNode, Node, ScalarNode

ABSENT = object()
"""Stands for the value of a key that is not there."""

Splice = tuple[int, int, str]
"""Characters from, up to, and what stands there instead."""
Pairs = dict[str, tuple[Node, Node]]

_REMARK = re.compile(r"([ \t]+)(#[^\r\n]*)")


@dataclass(frozen=True)
class Change:
    """One key that gets another value, or comes, or goes.

    Args:
        path: Its keys, from the top, with dots between.
        old: What it was, or ABSENT.
        new: What it will be, or ABSENT.
    """

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path}: {_in_a_line(self.old)} -> {_in_a_line(self.new)}"


def changes(old: Any, new: Any, path: tuple[str, ...] = (), depth: int = 3) -> list[Change]:
    """Return what differs between two mappings, looking into mappings down to a depth.

    In the order of the old one's keys, then of those that are new.
    """
    if depth and isinstance(new, dict) and (isinstance(old, dict) or old is ABSENT):
        old = {} if old is ABSENT else old
        pairs = {key: (old.get(key, ABSENT), new.get(key, ABSENT)) for key in [*old, *new]}
        return [
            change
            for key, (one, other) in pairs.items()
            for change in changes(one, other, (*path, key), depth - 1)
        ]
    return [] if _same(old, new) else [Change(".".join(path), old, new)]


def edit(text: str, new: Mapping[str, Any], donor: str = "") -> str:
    """Return a YAML text that says something new, by as few changes as that takes.

    What several keys share by an anchor can't be told apart here: read the result again, and
    hold it against what was meant.

    Args:
        text: A mapping.
        new: What it is to say.
        donor: Another YAML text: a value that it holds under the same keys is written as there
            (`1e-3`, not `0.001`), and a new key brings its comment along.
    """
    node, source = (yaml.compose(each, Loader=yaml.SafeLoader) for each in (text, donor))
    if not isinstance(node, MappingNode):
        return text
    splices = _Edit(text, donor).of_mapping(node, yaml.safe_load(text), new, source)
    # From the end on, so that positions before stay right; of two at one place the later first.
    for start, end, instead in sorted(splices, key=lambda each: each[0])[::-1]:
        text = text[:start] + instead + text[end:]
    return text


@dataclass(frozen=True)
class _Edit:
    """What turns one text into another.

    Args:
        text: The text to edit.
        donor: The text that values come from.
    """

    text: str
    donor: str

    def of_mapping(
        self, node: MappingNode, old: Mapping[str, Any], new: Mapping[str, Any], source: Node | None
    ) -> list[Splice]:
        """Return the edits of a block mapping: its keys that differ, go and come."""
        here, there = _pairs(node), _pairs(source)
        splices: list[Splice] = []
        for key, pair in here.items():
            if key not in new:
                splices.append((*_lines(self.text, pair), ""))
            elif not _same(old[key], new[key]):
                splices += self.of_value(pair, old[key], new[key], there.get(key))
        coming = [key for key in new if key not in old]
        is_top = node.start_mark.column == 0
        splices += [
            self.insertion(here, key, new[key], there.get(key), is_top=is_top) for key in coming
        ]
        return splices

    def of_value(
        self, pair: tuple[Node, Node], old: Any, new: Any, source: tuple[Node, Node] | None
    ) -> list[Splice]:
        """Return the edits of one value: within its line, or instead of its lines."""
        key, value = pair
        is_block = _is_block(value)
        if isinstance(value, MappingNode) and is_block and isinstance(new, dict):
            return self.of_mapping(value, old, new, source[1] if source else None)
        start, end = value.start_mark.index, _end(self.text, value)
        written = self.written(new, source)
        if not is_block:
            return [self.within_line(start, end, written)]
        colon = self.text.index(":", key.end_mark.index) + 1
        lines = _line_start(self.text, start), _line_end(self.text, end)
        return [self.within_line(colon, colon, written), (*lines, "")]

    def within_line(self, start: int, end: int, written: str) -> Splice:
        """Replace a value; a comment behind it stays in its column, if it can."""
        if start == end:  # there was none
            written = f" {written}"
        _, width = _remark(self.text, end)
        room = max(1, end - start + width - len(written)) if width else 0
        return start, end + width, written + " " * room

    def insertion(
        self,
        here: Pairs,
        key: str,
        value: Any,
        source: tuple[Node, Node] | None,
        *,
        is_top: bool,
    ) -> Splice:
        """Add a key behind the last one; at the top, one line goes before the sections."""
        plain = [pair for pair in here.values() if not isinstance(pair[1], MappingNode)]
        is_section = is_top and isinstance(value, dict)
        last = plain[-1] if is_top and plain and not is_section else list(here.values())[-1]
        at = len(self.text) if is_section else _lines(self.text, last)[1]
        if is_section:
            added = "\n" + self.block(key, value, source)
        else:
            added = self.line(last, key, self.written(value, source), source)
        gap = "" if not at or self.text[at - 1] == "\n" else "\n"
        return at, at, f"{gap}{added}\n"

    def line(
        self,
        last: tuple[Node, Node],
        key: str,
        written: str,
        source: tuple[Node, Node] | None,
    ) -> str:
        """Return a line that looks like the last one, and has the donor's comment."""
        line = f"{' ' * last[0].start_mark.column}{key}: {written}"
        remark, _ = _remark(self.donor, _end(self.donor, source[1])) if source else ("", 0)
        end = _end(self.text, last[1])
        _, width = _remark(self.text, end)
        column = end + width - _line_start(self.text, end) if width else 0
        return f"{line:{max(column, len(line) + 1)}}{remark}" if remark else line

    def block(self, key: str, value: Any, source: tuple[Node, Node] | None) -> str:
        """Return a section in lines of its own, as the donor has it."""
        if source and _is_block(source[1]) and _same(_meant(source[1]), value):
            start, end = _lines(self.donor, source)
            return self.donor[start:end].removesuffix("\n")
        return yaml.safe_dump({key: value}, sort_keys=False).removesuffix("\n")

    def written(self, value: Any, source: tuple[Node, Node] | None) -> str:
        """Return a value in one line, as the donor has it if it is there in one line."""
        if source and not _is_block(source[1]) and _same(_meant(source[1]), value):
            text = self.donor[source[1].start_mark.index : _end(self.donor, source[1])]
            if text and "\n" not in text:
                return text
        return _in_a_line(value)


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same: 1 is 1.0 but not true."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _in_a_line(value: Any) -> str:
    if value is ABSENT:
        return "(none)"
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True
    )
    return str(text).removesuffix("\n").removesuffix("\n...")


def _meant(node: Node) -> Any:
    return yaml.SafeLoader("").construct_document(node)


def _pairs(node: Node | None) -> Pairs:
    pairs = node.value if isinstance(node, MappingNode) else []
    return {pair[0].value: pair for pair in pairs}


def _is_block(node: Node) -> bool:
    """Return whether a value is in lines of its own."""
    return isinstance(node, CollectionNode) and not node.flow_style


def _end(text: str, node: Node) -> int:
    """Return where the characters of a value end (PyYAML's blocks reach to the next key)."""
    if _is_block(node) and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(node, MappingNode) else last)
    end = int(node.end_mark.index)
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return len(text[:end].rstrip())
    return end


def _lines(text: str, pair: tuple[Node, Node]) -> tuple[int, int]:
    """Return where the lines of a key and its value begin and end."""
    return _line_start(text, pair[0].start_mark.index), _line_end(text, _end(text, pair[1]))


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """Return where the next line begins."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _remark(text: str, index: int) -> tuple[str, int]:
    """Return the comment behind a place on its line, and the width of the space before it."""
    found = _REMARK.match(text, index)
    return (found[2], len(found[1])) if found else ("", 0)
