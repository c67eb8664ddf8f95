"""Adapters by the names of their formats, and the keys of params.yaml that reach them."""

from dataclasses import fields
from typing import Any

import pytest
from pydantic import TypeAdapter

from darkroom.index.formats import carvana, celeba, csv
from darkroom.index.formats.adapter import Adapter, configure_adapter, load_adapter
from darkroom.params.data import CsvData, CsvTable, Data

CSV: dict[str, Any] = {
    "format": "csv",
    "source": "raw",
    "task": "regression",
    "train": {"table": "a.csv", "image": 0, "targets": ["x"], "group": "who"},
    "test": {"table": "b.csv", "image": "img"},
    "header": ["id", "x"],
}


def configured(**data: Any) -> Any:
    return configure_adapter(TypeAdapter[Any](Data).validate_python({"source": "raw"} | data))


@pytest.mark.parametrize("name", ["carvana", "celeba", "banknotes", "csv"])
def test_every_format_is_loaded_by_its_name(name: str) -> None:
    adapter = load_adapter(name)
    assert isinstance(adapter, Adapter)
    assert adapter.options.__module__ == f"darkroom.index.formats.{name}"


def test_an_unknown_format_is_an_error_of_the_program() -> None:
    with pytest.raises(ValueError, match="'tiff' is not carvana, celeba, banknotes or csv"):
        load_adapter("tiff")


def test_each_format_has_its_adapter_and_its_options() -> None:
    assert configured(format="carvana", quality="hq") == (
        load_adapter("carvana"),
        carvana.Options("hq"),
    )
    assert configured(format="celeba") == (load_adapter("celeba"), celeba.Options())
    adapter, options = configured(format="banknotes", columns={"image": "file", "target": 1})
    assert adapter == load_adapter("banknotes")
    assert (options.columns.image, options.columns.target) == ("file", 1)


def test_a_table_s_keys_reach_the_adapter() -> None:
    adapter, options = configured(**CSV)
    assert adapter == load_adapter("csv")
    assert (options.task, options.header, options.delimiter) == ("regression", ["id", "x"], ",")
    assert (options.train.image, options.train.targets, options.train.group) == (0, ["x"], "who")
    assert options.valid is None
    assert adapter.required_files(["a.csv", "b.csv", "c.zip"], options) == [
        "a.csv",
        "b.csv",
        "c.zip",
    ]


def test_every_option_of_a_format_is_a_key_of_params_and_the_defaults_agree() -> None:
    names = {field.name for field in fields(csv.Section)}
    assert names == set(CsvTable.model_fields)
    section = csv.Section("a.csv", "img")
    keys = CsvTable(table="a.csv", image="img")
    for name in names - {"targets"}:
        assert getattr(keys, name) == getattr(section, name), name
    assert {field.name for field in fields(csv.Options)} < set(CsvData.model_fields)
