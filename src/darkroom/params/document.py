"""Read a YAML mapping as DVC does, within limits: params.yaml, and recipes from anywhere.

DVC reads params.yaml with ruamel.yaml, which knows YAML 1.2: `no` is a text, `010` is ten and
`1e-4` a number. With another parser a stage could run with other values than DVC has recorded.
"""

import errno
import re
import stat
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError, YAMLWarning
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    NodeEvent,
)
from ruamel.yaml.nodes import MappingNode, SequenceNode

from darkroom.errors import ParamsError

MAX_BYTES = 100_000  # the shipped params.yaml has 7,000
MAX_VALUES = 20_000  # an alias counts as often as it is used
MAX_DEPTH = 20
MAX_KEY_LETTERS = 200
MAX_INTEGER = 10**18

NUMBERED = ("values",)  # mappings whose keys are whole numbers

_UNQUOTED = re.compile(r"\{\w*\}|(^|[\s\[,{])(?<!<<: )[*!]")  # behind <<: stands an alias
_KINDS = {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing"}


class _Constructor(SafeConstructor):
    """Refuse merges (`<<: [*a, *b]`) that double a mapping again and again."""

    def flatten_mapping(self, node: Any) -> Any:
        for key_node, value_node in list(node.value):
            if key_node.tag == "tag:yaml.org,2002:merge":
                is_list = isinstance(value_node, SequenceNode)
                merged = value_node.value if is_list else [value_node]
                count = 0
                for each in merged:
                    if isinstance(each, MappingNode):
                        self.flatten_mapping(each)
                        count += len(each.value)
                    if count > MAX_VALUES:
                        raise ConstructorError(
                            None, None, f"merges of more than {MAX_VALUES:,} keys"
                        )
        return super().flatten_mapping(node)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, not validated but for its keys: texts without duplicates.

    Raises:
        ParamsError: The file is absent, not YAML, not a mapping, or beyond a limit.
    """
    return parse_mapping(read_text(path), file=path)


def read_text(path: Path) -> str:
    """Return the text of a YAML file, with its line ends and its byte order mark.

    Raises:
        ParamsError: It is absent, no file, too large, or not UTF-8.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
            raise ParamsError("it is no file", file=path, expected="a text file")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ParamsError(
                "it is too large",
                file=path,
                found=f"more than {MAX_BYTES:,} bytes",
                expected="a text that somebody has written",
            )
        return data.decode()
    except FileNotFoundError as error:
        raise ParamsError(
            "there is no such file",
            file=path,
            fix="run in the project's root folder; `darkroom new FOLDER` makes a project",
        ) from error
    except UnicodeDecodeError as error:
        raise ParamsError(
            "it can't be read", file=path, found=error, expected="a text in UTF-8"
        ) from error
    except OSError as error:
        fix = f"let yourself read it: chmod u+r {path}" if error.errno == errno.EACCES else None
        raise ParamsError("it can't be read", file=path, found=error.strerror, fix=fix) from error


def parse_mapping(text: str, *, file: object) -> dict[str, Any]:
    """Return the mapping that a text in YAML means.

    Args:
        text: Of a file.
        file: The file, for messages.

    Raises:
        ParamsError: It is not YAML, not a mapping, or beyond a limit.

    Example:
        >>> parse_mapping("header: [no, 010, 1e-4]", file="params.yaml")
        {'header': ['no', 10, 0.0001]}
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", YAMLWarning)
            _check_events(text)
            yaml = YAML(typ="safe")
            yaml.Constructor = _Constructor
            raw = yaml.load(text)
    except MemoryError:
        raise
    except Exception as error:  # the parser fails in many ways on a text that is not YAML
        raise ParamsError(f"it is not YAML: {_problem(error, text)}", file=file) from error
    if not isinstance(raw, dict):
        raise ParamsError(
            "it must be a mapping",
            file=file,
            found=_KINDS.get(type(raw), f"{raw!r}"[:80]),
            expected="key: value lines",
        )
    for fault in _faults(raw):
        raise ParamsError(f"it holds what no parameter is: {fault}", file=file)
    return raw


def _check_events(text: str) -> None:
    """Refuse a text of too many levels or values before it is composed, which may never end.

    Beyond some 10,000 levels composing it would even end the process. So may an alias within what
    its own anchor names.
    """
    anchors = set[str | None]()
    levels: list[str | None] = []  # the anchor of each open mapping and list
    for count, event in enumerate(YAML(typ="safe").parse(text)):
        if isinstance(event, AliasEvent):
            if problem := _alias_problem(event.anchor, anchors, levels):
                raise ConstructorError(None, None, problem, event.start_mark)
        elif isinstance(event, NodeEvent):
            anchors.add(event.anchor)
        if isinstance(event, CollectionStartEvent):
            levels.append(event.anchor)
        elif isinstance(event, CollectionEndEvent):
            levels.pop()
        if len(levels) > MAX_DEPTH:
            raise ConstructorError(None, None, f"more than {MAX_DEPTH} levels", event.start_mark)
        if count > 2 * MAX_VALUES:
            raise ConstructorError(None, None, f"more than {MAX_VALUES:,} values")


def _alias_problem(
    name: str, anchors: Collection[str | None], levels: Collection[str | None]
) -> str | None:
    """Return what is wrong with an alias, and what to do; None: nothing."""
    if name in levels:
        return f"*{name} stands within &{name}; name another, or none"
    if name not in anchors:
        return f"no &{name} stands above *{name}; write it behind the key of what is to be repeated"
    return None


def _problem(error: Exception, text: str) -> str:
    """Return what is wrong in a text, in which line, and what to do, in a line."""
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}" if mark else ""
    words = getattr(error, "problem", None) if isinstance(error, YAMLError) else None
    lines = str(words or error).strip().splitlines()
    line = lines[0] if lines else type(error).__name__
    if twice := re.match('found duplicate key "(.*?)" with value', line):
        line = f"the key {twice[1]!r} appears twice"
    what, *advice = line.split("; ")
    source = text.split("\n")[mark.line : mark.line + 1] if mark else []
    if source and _UNQUOTED.search(source[0]):
        advice.append(
            "what holds { } or begins with * or ! stands in quotes, such as '{id}_{label}'"
        )
    return "; ".join([f"{what}{where}", *advice])


def _faults(raw: Any) -> Iterator[str]:
    """Yield what is beyond a limit, or no key; an alias is walked as often as it is used."""
    todo: list[tuple[Any, int, object]] = [(raw, 0, "")]
    count = 0
    while todo:
        value, depth, name = todo.pop()
        count += 1
        if count > MAX_VALUES:
            yield f"more than {MAX_VALUES:,} values (what an alias names counts at each use)"
            return
        if depth > MAX_DEPTH:
            yield f"more than {MAX_DEPTH} levels of lists and mappings in each other"
            return
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    if name not in NUMBERED or type(key) is not int:
                        yield f"the key {key} is not text"
                elif len(key) > MAX_KEY_LETTERS:
                    yield f"a key of more than {MAX_KEY_LETTERS} letters: {key[:40]}…"
            todo += [(each, depth + 1, key) for key, each in value.items()]
        elif isinstance(value, list):
            todo += [(each, depth + 1, "") for each in value]
        elif isinstance(value, int) and abs(value) >= MAX_INTEGER:
            yield f"an integer of more than {len(str(MAX_INTEGER)) - 1} digits"
