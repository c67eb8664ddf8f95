"""YAML is read as DVC reads it, and what is hostile in it is refused soon and in few words."""

import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ParamsError
from darkroom.params import document
from darkroom.params.document import parse_mapping
from darkroom.params.file import read_params
from tests.support.hostile_params import hostile_params

WRITTEN = """no yes on off y n true True null Null ~ 010 0o10 0x1F 0b11 1_000 1e-4 1.e3 1E+3 .5 -0
+1 5. .inf -.INF .NaN 12:30:45 190:20:30 2020-01-01 '' 'no' "010" 1. 0. 00 -.5"""
SCALARS = st.one_of(
    st.sampled_from(WRITTEN.split()),
    st.integers(-(10**9), 10**9).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"[0-9eE+.:_xo-]{1,6}", fullmatch=True),
    st.from_regex(r"[A-Za-z~.]{1,5}", fullmatch=True),
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("010", 10),
        ("0o10", 8),
        ("1e-4", 1e-4),
        ("12:30:45", "12:30:45"),
        ("'010'", "010"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("1_000", 1000),
    ],
)
def test_a_scalar_is_that_of_yaml_1_2(written: str, value: Any) -> None:
    assert same(parse_mapping(f"a: {written}", file="a test")["a"], value)


@given(SCALARS)
def test_every_scalar_is_what_dvc_takes_it_for(written: str) -> None:
    text = f"a: {written}\nb: [{written}]\n"
    try:
        expected = parse_yaml(text, "a test")
    except Exception:
        with pytest.raises(ParamsError):
            parse_mapping(text, file="a test")
        return
    try:
        found = parse_mapping(text, file="a test")
    except ParamsError as error:
        assert "an integer of more than 18 digits" in str(error)  # noqa: PT017
        return
    assert same(found["a"], expected["a"])
    assert same(found["b"][0], expected["b"][0])


HOSTILE = dict(hostile_params())


def test_there_are_82_of_them() -> None:
    assert len(HOSTILE) == 82


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_soon_and_in_few_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(HOSTILE[name])
    start = time.process_time()
    with pytest.raises(ParamsError) as caught:
        read_params(path)
    assert time.process_time() - start < 1
    assert len(str(caught.value)) < 8192
    assert len(str(caught.value).splitlines()) <= 80


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("aliases of aliases", "more than 20,000 values (what an alias names counts at each use)"),
        ("an alias of itself", "*a stands within &a, line 1; name another, or none"),
        ("too many keys", "it is too large\n  found: more than 100,000 bytes"),
        ("many unknown keys", "more than 100 keys or values are wrong"),
        ("5,000 digits", "it is not YAML: Exceeds the limit"),
        ("30 digits", "an integer of more than 18 digits"),
        ("a day that is not", "it is not YAML: day is out of range for month"),
        ("no integer", "it is not YAML: invalid literal for int() with base 10: 'x'"),
        ("nested lists", "it is not YAML: more than 20 levels, line 1"),
        ("a NUL", "it is not YAML: "),
        ("UTF-16", "it can't be read"),
        ("empty", "it must be a mapping\n  found: nothing"),
        ("an object of Python", "it is not YAML: could not determine a constructor"),
    ],
)
def test_the_words_of_some(tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ParamsError) as caught:
        read_params(path)
    assert words in str(caught.value)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "params.yaml")
    with pytest.raises(ParamsError, match="it is no file"):
        document.read_text(tmp_path / "params.yaml")


def test_what_is_at_the_limit_is_read_in_a_second() -> None:
    lists = [f"k{n}: [{', '.join(['1.5'] * 990)}]\n" for n in range(20)]
    text = "".join(lists)
    assert 95_000 < len(text) < document.MAX_BYTES
    start = time.process_time()
    assert len(parse_mapping(text, file="a test")) == 20
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "line", ["row: {id}_{label}", "image: [{id}.png]", "targets: *", "where: {id: !.DS}"]
)
def test_a_template_without_quotes_is_told_to_have_them(line: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_mapping(f"a: 1\n{line}\nb: 2\n", file="x.yaml")
    words = str(caught.value)
    assert words.startswith("x.yaml: it is not YAML: ")
    assert ", line 2; what holds { } or begins with * or ! stands in quotes" in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &t\n  b: 1\n  <<: *t\n", "*t stands within &t, line 3; name another, or none"),
        ("a: &t {b: {<<: *t}}", "*t stands within &t, line 1; name another, or none"),
        ("a:\n  <<: *t\nt: &t {b: 1}\n", "no &t stands above *t, line 2; write it behind the key"),
        ("a: *png", "no &png stands above *png, line 1; write it behind the key of what is to be "),
    ],
)
def test_an_alias_names_what_stands_above_it(text: str, words: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_mapping(text, file="x.yaml")
    assert f"x.yaml: it is not YAML: {words}" in str(caught.value)
    assert ("stands in quotes" in str(caught.value)) == text.startswith("a: *")


MERGES = """
seed: 7
one: &one
  train: &train {epochs: 10, lr: 0.01}
  model: {name: unet}
two:
  <<: *one
  train: {<<: *train, lr: 0.5}
three:
  model: {width: 8}
  <<: [{model: {name: fpn}, split: {by: group}}, *one]
"""


def test_a_section_inherits_by_merge_and_its_own_keys_win() -> None:
    values = parse_mapping(MERGES, file="params.yaml")
    assert values["two"] == {"train": {"epochs": 10, "lr": 0.5}, "model": {"name": "unet"}}
    assert values["three"] == {
        "model": {"width": 8},  # a mapping replaces another as a whole
        "split": {"by": "group"},
        "train": {"epochs": 10, "lr": 0.01},
    }
    assert values["one"]["train"]["lr"] == 0.01
    assert values == parse_yaml(MERGES, "params.yaml")  # as DVC has it


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.data(),
)
def test_any_chain_of_merges_is_read_as_dvc_reads_it(
    mappings: list[dict[str, int]], data: st.DataObject
) -> None:
    lines, expected = [], list[dict[str, int]]()
    for number, own in enumerate(mappings):
        others = data.draw(st.lists(st.integers(0, number - 1), max_size=2)) if number else []
        keys = [f"{key}: {value}" for key, value in own.items()]
        if others:
            keys.insert(
                data.draw(st.integers(0, len(keys))), f"<<: [{', '.join(f'*m{i}' for i in others)}]"
            )
        lines.append(f"m{number}: &m{number} {{{', '.join(keys)}}}")
        inherited = [expected[other] for other in reversed(others)]  # the first one wins
        expected.append({k: v for each in (*inherited, own) for k, v in each.items()})
    text = "\n".join(lines)
    values = parse_mapping(text, file="params.yaml")
    assert values == parse_yaml(text, "params.yaml")
    assert list(values.values()) == expected


def test_a_file_that_may_not_be_read_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ParamsError, match=r"to do: .*chmod u\+r"):
        document.read_mapping(tmp_path / "a.yaml")
