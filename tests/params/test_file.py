import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.errors import ParamsError
from darkroom.params import file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def raw() -> Any:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def _faults(raw: Any) -> str:
    with pytest.raises(ParamsError) as caught:
        file.validate_params(raw)
    return str(caught.value)


def test_the_shipped_file_is_valid() -> None:
    params = file.read_params(ROOT / "params.yaml")
    assert params.competitions == ["carvana", "celeba", "banknotes"]
    assert set(params.sections) == set(params.competitions)


def test_all_errors_are_listed_at_once_with_path_and_remedy(raw: Any) -> None:
    raw["sede"] = 7
    raw["carvana"]["model"]["widht"] = 3
    raw["carvana"]["train"]["epochs"] = "many"
    raw["celeba"]["model"]["name"] = "resnet19"
    raw["celeba"]["data"]["zzz"] = "hq"
    raw["celeba"]["data"]["leave_out"] = ["x"]
    del raw["celeba"]["train"]["lr"]
    raw["banknotes"]["evaluate"]["threshold"] = 2
    raw["competitions"].append(3)
    text = _faults(raw)
    assert "9 keys or values are wrong" in text
    assert "sede: unknown key, and no section of a competition; found 7" in text
    assert "did you mean 'seed'?" in text
    assert "carvana.model.widht: unknown key; did you mean 'width'?" in text
    assert "carvana.train.epochs: found 'many' (str); input should be a valid integer" in text
    assert "celeba.model.name: found 'resnet19'; allowed are " in text
    assert "which params.schema.json lists; did you mean 'resnet18' or " in text
    assert "celeba.data.zzz: unknown key; allowed: source, kaggle, urls" in text
    assert "celeba.data.leave_out: this key is gone: write where in train, valid or test" in text
    assert "celeba.train.lr: this key is missing" in text
    assert "banknotes.evaluate.threshold: found 2 (int); input should be 'auto', or" in text
    assert "competitions[3]: found 3 (int)" in text


@pytest.mark.parametrize("value", [True, 1.5])
def test_a_pattern_that_is_no_text_is_to_be_quoted(raw: Any, value: bool | float) -> None:
    raw["celeba"]["data"]["train"]["where"] = {"ok": value}
    words = f"input should be a text in quotes, as the cells are written: '{value}'"
    assert (
        f"celeba.data.train.where.ok: found {value} ({type(value).__name__}); {words}"
        in _faults(raw)
    )


@pytest.mark.parametrize(
    ("value", "is_right"),
    [(0.001, True), (1, True), ("1e-4", False), ("0.001", False), (True, False), (0, False),
     (float("nan"), False), (None, False)],
)  # fmt: skip
def test_numbers_are_numbers(raw: Any, value: Any, is_right: bool) -> None:
    raw["carvana"]["train"]["lr"] = value
    if is_right:
        assert file.validate_params(raw).section("carvana").train.lr == float(value)
    else:
        assert "carvana.train.lr: found" in _faults(raw)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"loss": "dicee"}, "loss: found 'dicee' (str); input should be 'auto', or"),
        ({"loss": {"bce": -1}}, "loss.bce: found -1 (int); input should be greater than or equal"),
        ({"loss": {"bec": 1}}, "loss.bec: found 'bec' (str); input should be 'bce', 'dice'"),
        ({"loss": {"focal": {"gama": 2}}}, "loss.focal.gama: unknown key; did you mean 'gamma'?"),
        ({"class_weights": [1, "x"]}, "class_weights[1]: found 'x' (str); input should be a valid"),
        ({"crop": [64]}, "crop: found [64] (list); input should be a list of 2 or more, or null"),
        ({"crop": 64}, "crop: found 64 (int); input should be a list: [...], or null"),
        ({"ema": 1}, "ema: found 1 (int); input should be less than 1, or null"),
        ({"rates": [1]}, "rates: found [1] (list); input should be a mapping: {key: value}"),
        ({"augment": "lihgt"}, "augment: found 'lihgt' (str); input should be 'none', 'flip'"),
        ({"rates": {"backbone": False}}, "rates.backbone: found False (bool)"),
    ],
)
def test_an_error_in_a_union_is_listed_once(raw: Any, written: Any, words: str) -> None:
    raw["carvana"]["train"] |= written
    text = _faults(raw)
    assert "1 key or value is wrong" in text
    assert f"carvana.train.{words}" in text


def test_a_mapping_of_nothing_is_no_list(raw: Any) -> None:
    raw["celeba"]["data"]["train"]["mask"] = {}
    words = "input should be a text, or input should be a mapping of 1 or more"
    assert f"celeba.data.train.mask: found {{}} (dict); {words}" in _faults(raw)


@pytest.mark.parametrize("written", ["imagnet", "models/carvana/fold0"])
def test_weights_are_null_or_given_by_transfers(raw: Any, written: str) -> None:
    raw["celeba"]["model"]["weights"] = written
    words = "input should be 'imagenet' or 'given' (what transfers names), or null"
    assert f"celeba.model.weights: found '{written}' (str); {words}" in _faults(raw)


def test_an_exponent_without_a_dot_is_a_number_in_the_file_too(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text().replace("lr: 0.02 ", "lr: 1e-4 ")
    (tmp_path / "params.yaml").write_text(text)
    assert file.read_params(tmp_path / "params.yaml").section("carvana").train.lr == 1e-4


def test_a_competition_without_a_section_is_named(raw: Any) -> None:
    raw["competitions"] = ["celba"]
    text = _faults(raw)
    assert "competitions[0]: 'celba' has no section; did you mean 'celeba'?" in text


def test_folds_that_the_split_lacks_are_refused(raw: Any) -> None:
    raw["folds"] = [0, 4]
    text = _faults(raw)
    assert "folds: found [4], but carvana.split.folds is 4: folds 0 to 3" in text
    assert "but celeba is split by its official partition, which has fold 0 alone" in text
    assert "set celeba.split.by to stratify, or take celeba out of competitions" in text


@pytest.mark.parametrize("key", ["folds", "competitions"])
def test_a_duplicate_entry_is_refused(raw: Any, key: str) -> None:
    raw[key] = raw[key] + raw[key][:1]
    assert f"{key}: an entry appears twice" in _faults(raw)


def test_a_bad_name_is_refused(raw: Any) -> None:
    raw["../evil"] = raw["carvana"]
    assert "../evil: a competition's name is lower-case" in _faults(raw)


@pytest.mark.parametrize(
    ("section", "key", "place"),
    [
        ("data.train", "values", "carvana.data.values"),
        ("split", "lr", "carvana.train.lr"),
        (
            "data",
            "rle",
            "carvana.data.train.rle or carvana.data.valid.rle or carvana.data.test.rle",
        ),
        ("data", "seed", "carvana.train.seed"),
        ("data", "folds", "carvana.split.folds"),
        ("data", "competitions", "competitions"),
        ("", "like", "carvana.data.like"),
    ],
)  # fmt: skip
def test_a_key_in_the_wrong_place_is_told_its_own(
    raw: Any, section: str, key: str, place: str
) -> None:
    node = raw["carvana"]
    for name in filter(None, section.split(".")):
        node = node[name]
    node[key] = 1
    assert f"{key}: unknown key; did you mean {place}?" in _faults(raw)


def test_a_competition_needs_no_python(raw: Any) -> None:
    table = {"table": "train.csv", "image": "train.zip/{image}", "mask": "masks.zip/{1}"}
    raw["nuclei"] = dict(raw["carvana"]) | {
        "data": {
            "source": "x",
            "task": "segmentation",
            "train": table,
            "test": {"table": "test.csv", "image": "test.zip/{image}"},
            "header": ["img", "rle_mask"],
            "values": {0: "sky", 1: "road", 255: None},
        },
        "evaluate": {},
    }
    data = file.validate_params(raw).section("nuclei").data
    assert data.train.mask == "masks.zip/{1}"
    assert data.values == {0: "sky", 1: "road", 255: None}
    raw["nuclei"]["data"]["train"]["imag"] = ""
    assert "nuclei.data.train.imag: unknown key; did you mean 'image'?" in _faults(raw)
    raw["nuclei"]["data"]["train"] = dict(table) | {"image": {"image_path": None}}
    assert "input should be a text in quotes: '{image_path}'" in _faults(raw)
    raw["nuclei"]["data"]["train"] = {"table": 3, "image": "{a}", "mask": "{b}"}
    assert "nuclei.data.train.table: found 3 (int)" in _faults(raw)
    raw["nuclei"]["data"] = {}
    assert "nuclei.data.task: this key is missing" in _faults(raw)
    raw["nuclei"]["data"] = None
    assert "nuclei.data: found null; input should be a mapping" in _faults(raw)


@pytest.mark.parametrize(
    ("place", "key", "words"),
    [
        ("data", "format", "remove it: all competitions are described in one form"),
        ("train", "image_path", "write it as image, with columns in braces"),
        ("train", "mask_path", "write it as mask, with columns in braces"),
        ("train", "rle_order", "write runs: {order: column}"),
        ("data", "columns", "write {2} in image for a column by position"),
        ("data", "quality", "files: train_hq/{car}_{view}.jpg"),
        ("data", "delimiter", 'table: {table: train.csv, delimiter: ";"}'),
    ],
)
def test_a_key_of_an_earlier_version_says_what_replaces_it(
    raw: Any, place: str, key: str, words: str
) -> None:
    data = raw["carvana"]["data"]
    (data if place == "data" else data[place])[key] = "x"
    text = _faults(raw)
    assert f"{key}: this key is gone: " in text
    assert words in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1\nseed: 2\n", "the key 'seed' appears twice, line 2"),
        ("a: {b: 1, b: 2}", "the key 'b' appears twice"),
        ("1: 2", "the key 1 is not text"),
        ("a: [", "it is not YAML"),
        ("!!python/object:os.system x", "it is not YAML"),
        ("", "it must be a mapping"),
        ("- 1", "it must be a mapping"),
    ],
)
def test_what_is_not_a_mapping_of_yaml_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml") as caught:
        file.read_params(tmp_path / "params.yaml")
    assert words in str(caught.value)


def test_sections_may_share_keys_by_yaml_merge(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    text = text.replace("  predict:\n    batch_size: 64\n", "  predict:\n    <<: *few\n")
    text = text.replace("  predict:\n    batch_size: 8 ", "  predict: &few\n    batch_size: 8 ", 1)
    (tmp_path / "params.yaml").write_text(text)
    assert file.read_params(tmp_path / "params.yaml").section("celeba").predict.batch_size == 8


def test_an_absent_or_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no such file"):
        file.read_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParamsError, match="can't be read"):
        file.read_params(tmp_path / "params.yaml")


def test_the_shipped_schema_is_up_to_date() -> None:
    text = file.schema_text()
    assert (ROOT / "params.schema.json").read_text() == text
    schema = json.loads(text)
    assert schema["additionalProperties"] == {"$ref": "#/$defs/Competition"}
    assert "did" not in schema["$defs"]["Train"]["properties"]
    for name, section in schema["$defs"].items():
        assert section["additionalProperties"] is False, name


def test_every_key_of_the_shipped_file_has_a_comment() -> None:
    """Each section's key has its comment the first time it stands in params.yaml."""
    seen, section = set[tuple[str, str]](), ""
    for line in (ROOT / "params.yaml").read_text().splitlines():
        key, _, rest = line.strip().partition(":")
        if line.startswith("  ") and not line.startswith("   "):
            section = key
        elif line.strip() and line[0] not in "# " and key not in ("celeba", "banknotes"):
            assert "#" in rest, f"no word on {key}"
        elif section == "data" and line.startswith("    ") and line.rstrip().endswith((":", "}")):
            continue  # what a part or a list begins with
        elif section == "data" and line.strip().startswith(("- ", "name:")):
            continue  # of a list
        elif line.startswith("    ") and (section, key) not in seen:
            assert "#" in rest, f"no word on {section}.{key}"
            seen.add((section, key))
    assert len(seen) > 25


def test_transfers_are_required_because_dvc_reads_them_too(raw: Any) -> None:
    del raw["transfers"]
    assert "transfers: this key is missing; for none write transfers: []" in _faults(raw)


@pytest.mark.parametrize("address", ["https://[::1/x", "https://h:99999/x", "https://:/x"])
def test_an_address_without_a_host_is_refused(raw: Any, address: str) -> None:
    raw["banknotes"]["data"]["urls"] = [{"url": address, "name": "a.csv"}]
    words = "input should be an address with a host: https://host/path"
    assert f"banknotes.data.urls[0].url: found '{address}' (str); {words}" in _faults(raw)
    raw["banknotes"]["data"]["urls"] = [{"url": "https://[::1]:8080/x", "name": "a.csv"}]
    file.validate_params(raw)


def test_names_too_long_for_a_disk_are_refused(raw: Any) -> None:
    for name in ("a" * 300, f"a/{'b' * 300}"):
        raw["celeba"]["data"]["kaggle"] = name
        assert "celeba.data.kaggle: found " in (text := _faults(raw))
        assert "at most 120 characters" in text
    del raw["celeba"]["data"]["kaggle"]
    raw["banknotes"]["data"]["urls"] = [{"url": "https://h.org/x", "name": "a" * 121}]
    assert "at most 120 characters" in _faults(raw)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"name": "fpn", "attention": "scse"},
            "model.attention: fpn has no such key (encoder_unet, unetplusplus has); its own are "
            "encoder, weights, name, pyramid_channels, decoder_channels, dropout",
        ),
        ({"name": "segformer", "deep_supervision": True}, "segformer has no such key"),
        ({"name": "deeplabv3plus", "decoder_channels": [16, 16]}, "input should be a valid int"),
        ({"name": "encoder_unet", "decoder_channels": [16, 16]}, "a list of 5 or more"),
        ({"name": "fpn", "decoder_channels": 100}, "a multiple of 32"),
        (
            {"name": "encoder_unet", "attention": "scse", "decoder_channels": [64, 32, 16, 16, 8]},
            "model.decoder_channels: found [64, 32, 16, 16, 8], but attention: scse squeezes the "
            "channels to a sixteenth; set each to 16 or more",
        ),
        (
            {"name": "unet", "depth": 2, "deep_supervision": True},
            "model.deep_supervision: found depth 2, but it is for the levels between the coarsest "
            "and the finest; set depth to 3 or more",
        ),
    ],
)
def test_an_option_that_a_decoder_lacks_is_refused(model: dict[str, Any], message: str) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["carvana"]["model"] = model
    assert message in _faults(raw)
