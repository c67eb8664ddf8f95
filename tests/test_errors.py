import pickle

import pytest

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
    assert str(errors.ArtifactError("worse", found=error)).splitlines()[1:] == [
        "  found: bad",
        *lines[1:],
    ]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ParamsError, 2),
        (errors.DataError, 3),
        (errors.RemoteError, 4),
        (errors.ResourceError, 5),
        (errors.ArtifactError, 6),
    ],
)
def test_each_kind_has_its_exit_code(kind: type[errors.DarkroomError], code: int) -> None:
    assert kind("x").exit_code == code
