"""Where images lie: each way to write it wrong, in one sentence of what to write."""

import pytest

from darkroom.errors import DataError, ParamsError
from darkroom.index.formats.templates import check_table_name, check_template, template_container

KEY = "data.train.image_path"


@pytest.mark.parametrize("template", ["{}", "train/{}.png", "a.zip/b/c_{}", "train.v2/{}"])
def test_a_template_may_lead_anywhere_inside(template: str) -> None:
    check_template(KEY, template)


@pytest.mark.parametrize(
    ("template", "fault", "fix"),
    [
        (
            "/data/train/{}.png",
            "an absolute path",
            "write it relative to data.source; if the files lie",
        ),
        ("../train/{}.png", "a path with ..", "if the files lie elsewhere, change data.source"),
        ("./train/{}.png", "a path with ./", "write train/{}.png"),
        ("train\\{}.png", "a path with a backslash", "write train/{}.png"),
        (".\\train\\{}.png", "a path with a backslash", "write train/{}.png"),
        ("C:/train/{}.png", "a path with a drive letter", "write it relative to data.source"),
    ],
)
def test_a_template_that_leads_elsewhere_is_refused(template: str, fault: str, fix: str) -> None:
    with pytest.raises(ParamsError) as caught:
        check_template(KEY, template)
    assert str(caught.value).startswith(
        f"{KEY} must be a path inside data.source\n  found: {fault}: {template}\n"
        "  expected: such as train.zip/train/{}.png\n  to do: "
    )
    assert fix in str(caught.value)


@pytest.mark.parametrize("template", ["train/x.png", "{}/{}.png"])
def test_a_template_holds_the_cell_once(template: str) -> None:
    with pytest.raises(ParamsError, match=f"{KEY} must contain {{}} exactly once"):
        check_template(KEY, template)


@pytest.mark.parametrize("table", ["tables/train.csv", "/data/train.csv", "..\\train.csv"])
def test_a_table_in_a_subfolder_is_refused(table: str) -> None:
    with pytest.raises(ParamsError) as caught:
        check_table_name("data.train.table", table)
    assert str(caught.value) == (
        "data.train.table must be a file directly in data.source\n"
        f"  found: {table}\n  expected: train.csv\n"
        "  to do: move the table there, or set data.source to its folder"
    )
    check_table_name("data.train.table", "train.csv")


@pytest.mark.parametrize(
    ("there", "template", "found", "fix"),
    [
        ("train", "train.zip/{}.png", "train, which is unpacked", "train/{}.png"),
        (
            "train",
            "train.zip/train/{}.png",
            "train, which is unpacked",
            "train/{}.png or train/train/{}.png",
        ),
        (
            "train.zip",
            "train/{}.png",
            "train.zip, which is an archive",
            "train.zip/{}.png or train.zip/train/{}.png",
        ),
        ("train.tgz", "train.zip/a/{}", "train.tgz, which is an archive", "train.tgz/a/{}"),
    ],
)
def test_the_error_for_an_archive_that_was_unpacked_or_packed_says_what_to_write(
    there: str, template: str, found: str, fix: str
) -> None:
    top = template.split("/")[0]
    with pytest.raises(DataError) as caught:
        template_container([there, "test.zip", "train.csv"], KEY, template)
    assert str(caught.value).startswith(
        f"{top} is missing\n  found: {found}\n  expected: {top}, as {KEY} says\n"
        f"  to do: write {KEY}: {fix}"
    )


def test_another_name_is_asked_about() -> None:
    with pytest.raises(DataError) as caught:
        template_container(["training.zip", "train.csv"], KEY, "train.zip/{}.png")
    assert "if training.zip is it, rename it, or write training.zip in" in str(caught.value)


def test_a_container_is_taken_and_may_be_left_to_the_cells() -> None:
    assert template_container(["train", "train.zip"], KEY, "train.zip/{}.png") == "train.zip"
    assert template_container(["train", "train.zip"], KEY, "{}") is None
    assert template_container([], KEY, "{}.zip/a.png") is None
