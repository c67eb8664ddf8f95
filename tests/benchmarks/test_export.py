"""Every family of networks leaves Darkroom as the same function."""

import pytest

from benchmarks import export
from darkroom.deploy.export import MOST_DIFFERENT, Format
from darkroom.params.networks import DECODERS
from darkroom.project.packages import missing_modules

QUICK = ("unet", "small_cnn", "timm, resnet18d", "squeezenet1_1")
ABSENT = missing_modules("export")
FORMS = [
    "torchscript",
    pytest.param("onnx", marks=pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {ABSENT}")),
]


@pytest.mark.parametrize(
    "label",
    [
        label if label in QUICK else pytest.param(label, marks=[pytest.mark.slow, pytest.mark.long])
        for label in export.NETWORKS
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_network_of_each_family_can_be_exported(label: str, form: Format) -> None:
    cells = export.row(label, [form]).strip("| ").split(" | ")
    assert cells[0] == label
    assert float(cells[2].partition(",")[0]) <= MOST_DIFFERENT, cells


def test_each_decoder_is_among_them() -> None:
    assert {label.partition(",")[0] for label in export.NETWORKS} >= {*DECODERS, "unet", "timm"}


def test_the_table_has_a_row_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    export.main(["--network", "unet", "small_cnn", "--form", "torchscript"])
    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert head == "| network | side, px | torchscript, difference | MB | CPU s |"
    assert rule == "|---|---|---|---|---|"
    assert [row.split(" | ")[0] for row in rows] == ["| unet", "| small_cnn"]
