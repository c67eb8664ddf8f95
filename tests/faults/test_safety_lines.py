"""The list of safety lines is true: each is there, once, and the source is still Python without."""

import ast

import pytest

from tests.faults.safety.line import HOUSE, ROOT, SafetyLine
from tests.faults.safety_lines import LINES


@pytest.mark.parametrize("line", LINES, ids=[line.purpose for line in LINES])
def test_a_safety_line_is_there_once(line: SafetyLine) -> None:
    assert line.fault() == ""
    ast.parse(line.without((ROOT / HOUSE / line.file).read_text()))


def test_there_are_fifty_nine_and_each_has_a_purpose_of_its_own() -> None:
    assert len({line.purpose for line in LINES}) == len(LINES) == 59
