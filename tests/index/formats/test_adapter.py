"""Keys of params.yaml that reach the adapter of their format."""

from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter

from darkroom.index.formats import banknotes, carvana, celeba, contract, csv
from darkroom.params.data import CsvData, CsvTable, Data

CSV: dict[str, Any] = {
    "format": "csv",
    "source": "raw",
    "task": "regression",
    "train": {"table": "a.csv", "image": 0, "targets": ["x"], "group": "who"},
    "test": {"table": "b.csv", "image": "img"},
    "header": ["id", "x"],
}


def of(**data: Any) -> Any:
    return contract.of(TypeAdapter[Any](Data).validate_python({"source": "raw"} | data))


def test_each_format_has_its_adapter_and_its_options() -> None:
    assert of(format="carvana", quality="hq") == (carvana.COMPETITION, carvana.Options("hq"))
    assert of(format="celeba") == (celeba.COMPETITION, celeba.Options())
    adapter_of_notes, options = of(format="banknotes", columns={"image": "file", "target": 1})
    assert adapter_of_notes is banknotes.COMPETITION
    assert (options.columns.image, options.columns.target) == ("file", 1)


def test_a_table_s_keys_reach_the_adapter() -> None:
    found, options = of(**CSV)
    assert found is csv.COMPETITION
    assert (options.task, options.header, options.delimiter) == ("regression", ["id", "x"], ",")
    assert (options.train.image, options.train.targets, options.train.group) == (0, ["x"], "who")
    assert options.valid is None
    assert found.wanted(["a.csv", "b.csv", "c.zip"], options) == ["a.csv", "b.csv", "c.zip"]


def test_every_option_of_a_format_is_a_key_of_params_and_the_defaults_agree() -> None:
    names = {field.name for field in fields(csv.Section)}
    assert names == set(CsvTable.model_fields)
    given = csv.Section("a.csv", "img")
    keys = CsvTable(table="a.csv", image="img")
    for name in names - {"targets"}:
        assert getattr(keys, name) == getattr(given, name), name
    assert {field.name for field in fields(csv.Options)} < set(CsvData.model_fields)
