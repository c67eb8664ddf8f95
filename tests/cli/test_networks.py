"""`darkroom networks`: what a network is called, how large it is, and what its licence is."""

import pytest

from darkroom.cli import networks
from darkroom.cli.main import main

Capture = pytest.CaptureFixture[str]


def lines(capfd: Capture, *pattern: str) -> dict[str, list[str]]:
    """Return the cells of each line by its first and second, `library name`."""
    assert main(["networks", *pattern]) == 0
    rows = [line.split("  ") for line in capfd.readouterr().out.splitlines() if line]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {f"{row[1]} {row[0]}": row[2:] for row in cells if len(row) > 4}


IMAGENET = "0.485 0.456 0.406, 0.229 0.224 0.225"


def test_a_name_of_several_libraries(capfd: Capture) -> None:
    rows = lines(capfd, "resnet18")
    assert rows["torchvision resnet18"] == ["11.7 M", "224 x 224", IMAGENET, "bsd-3-clause"]
    assert rows["timm resnet18.a1_in1k"] == ["11.7 M", "224 x 224", IMAGENET, "apache-2.0"]
    assert rows["timm resnet18.fb_swsl_ig1b_ft_in1k"][-1] == "cc-by-nc-4.0"


def test_a_pattern_is_of_the_whole_name(capfd: Capture) -> None:
    rows = lines(capfd, "test_vit*.r160_in1k")
    assert "timm test_vit.r160_in1k" in rows
    assert all(name.startswith("timm test_vit") for name in list(rows)[1:])
    assert rows["timm test_vit.r160_in1k"][1:3] == ["160 x 160", "0.5 0.5 0.5, 0.5 0.5 0.5"]


def test_our_own(capfd: Capture) -> None:
    assert lines(capfd, "unet")["darkroom unet"] == ["31.0 M", "any", IMAGENET]


def test_without_a_pattern_timms_are_counted(capfd: Capture) -> None:
    assert main(["networks"]) == 0
    text = capfd.readouterr().out
    assert "\nvit_h_14 " in text
    assert "facebookresearch/SWAG/blob/main/LICENSE" in text
    assert "convnext_tiny.in12k" not in text
    assert "In params.yaml: {name: timm, backbone: NAME}." in text
    assert ", convnext, " in text


def test_an_unknown_name_tells_the_nearest(capfd: Capture) -> None:
    assert main(["networks", "convnext_tinny"]) == 2
    assert "did you mean convnext_tiny or " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("zz*[", "a pattern fits whole names: begin and end it with *, or write a part of a name"),
        ("zz", "write a part of a name, or a pattern in quotes: 'convnext*'"),
    ],
)
def test_a_pattern_that_fits_nothing_tells_how_to_write_one(
    capfd: Capture, pattern: str, advice: str
) -> None:
    assert main(["networks", pattern]) == 2
    assert capfd.readouterr().err.endswith(f"  found: {pattern}\n  to do: {advice}\n")


def test_of_many_parameters_are_not_counted(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "_parameters", lambda _: pytest.fail("this takes minutes"))
    rows = lines(capfd, "*")
    assert rows["timm resnet18.a1_in1k"] == ["-", "224 x 224", IMAGENET, "apache-2.0"]
    assert len(rows) > 1800
    assert main(["networks", "resnet*"]) == 0
    assert "counted for at most 60: narrow the pattern" in capfd.readouterr().out
