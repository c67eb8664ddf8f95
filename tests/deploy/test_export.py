"""darkroom export: a file that predicts what the pipeline does, or none."""

import json
import re
import resource
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from darkroom.cli.main import main
from darkroom.deploy.export import (
    DESCRIPTION,
    ExportedNetwork,
    Format,
    compare,
    export,
    input_size,
    random_pictures,
    require_onnx,
    size_step,
    torch_writes_onnx,
)
from darkroom.deploy.predictor import Predictor, load_folders
from darkroom.deploy.preparation import Preparation
from darkroom.deploy.trained import surroundings
from darkroom.errors import ArtifactError, ParamsError, ResourceError
from darkroom.images.codec import Pixels
from darkroom.models.sizes import Sizes
from darkroom.params.evaluate import Predict
from darkroom.prediction.decision import read_decision, write_decision
from darkroom.project.packages import missing_modules
from darkroom.project.work import work_beside
from darkroom.store.shard import ShardFormat
from darkroom.tasks.planes import MaskClasses
from darkroom.tasks.table import get_task
from tests.deploy.conftest import KINDS, Trained
from tests.support import tiny

MODEL = Path("models/tiny/fold0")
DECISION = Path("reports/tiny/decision.json")
ABSENT = missing_modules("export")
needs_onnx = pytest.mark.skipif(
    bool(ABSENT) or not torch_writes_onnx(),
    reason=f"not installed: {', '.join(ABSENT)}" if ABSENT else "torch 2.6 cannot write ONNX",
)


class Channels(nn.Module):
    """Logits are the mean of each channel; or of those of a bright batch, ten times it."""

    def __init__(self, branches: bool = False) -> None:
        super().__init__()
        self.branches = branches

    def forward(self, images: Tensor) -> Tensor:
        logits = images.mean(dim=(2, 3))
        return logits * 10 if self.branches and images.mean() > 0 else logits


def loaded(network: nn.Module | None = None) -> Predictor:
    """Return the predictor of fold 0, perhaps with another network."""
    predictor = load_folders([MODEL], surroundings(MODEL.parent), accelerator="cpu")
    return predictor if network is None else replace(predictor, networks=(network.eval(),))


def pictures(predictor: Predictor, count: int) -> Pixels:
    form = predictor.preparation.format
    shape = (count, form.height, form.width, form.channels)
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def run_torchscript(file: Path, images: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.load(file)  # type: ignore[no-untyped-call]
    return np.asarray(network(torch.from_numpy(images)).numpy())  # no gradients are to be left off


def run_onnx(file: Path, images: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": images})[0])


RUN = {"onnx": run_onnx, "torchscript": run_torchscript}
NAMES = {"onnx": "net.onnx", "torchscript": "net.pt"}


def read_description(file: Path, form: Format) -> dict[str, Any]:
    """Return what a file says of itself."""
    if form == "onnx":
        import onnx

        return {each.key: json.loads(each.value) for each in onnx.load(file).metadata_props}
    extra = {DESCRIPTION: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load(file, _extra_files=extra)  # type: ignore[no-untyped-call]
    values: dict[str, Any] = json.loads(extra[DESCRIPTION])
    return values


def test_normalisation_temperature_and_activation_stand_before_and_behind_the_network() -> None:
    network = ExportedNetwork(
        Channels(), get_task("multiclass"), [0.5, 0.5, 0.0], [0.25, 0.5, 1.0], 2.0
    )
    white = torch.full((1, 4, 5, 3), 255, dtype=torch.uint8)  # 2, 1, 1 once normalised
    expected = np.exp([1.0, 0.5, 0.5]) / np.exp([1.0, 0.5, 0.5]).sum()
    assert network(white).numpy()[0] == pytest.approx(expected, abs=1e-6)


def test_exclusive_classes_share_the_pixels_and_leave_the_background_out() -> None:
    classes = MaskClasses(exclusive=True, background=True)
    task = get_task("segmentation", classes=classes)
    network = ExportedNetwork(nn.Identity(), task, [0.0] * 3, [1 / 255] * 3)
    pixel = torch.tensor([[[[0, 1, 2]]]], dtype=torch.uint8)
    expected = np.exp([1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    assert network(pixel).numpy()[0, :, 0, 0] == pytest.approx(expected, abs=1e-6)


def edit(root: Path, section: str, **values: Any) -> None:
    """Change a section of the competition."""
    tiny.edit(root, lambda params: params["tiny"].setdefault(section, {}).update(values))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["torchscript", pytest.param("onnx", marks=needs_onnx)])
def test_a_file_predicts_what_the_loaded_model_does(
    trained: Trained, kind: str, form: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained(kind)
    edit(root, "predict", tta=[], batch_size=8)
    assert main(["export", "tiny", f"--{form}"]) == 0
    file = Path(f"exports/tiny-fold0.{'pt' if form == 'torchscript' else 'onnx'}")
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.startswith(f"tiny: {file}, ")
    count = 10 if kind == "masks" else 8  # two of another size
    assert second.endswith(f"on {count} random and 5 stored pictures")
    plain = loaded()
    raw = replace(plain.preparation.format, image="raw")  # a file's pictures pass through no JPEG
    predictor = replace(plain, preparation=replace(plain.preparation, format=raw))
    images = pictures(predictor, 3)
    outputs = RUN[form](file, images)
    step = 0.5 / 255 if kind == "masks" else 0.0  # of a mask's probabilities, which are rounded
    assert outputs.dtype == np.float32
    assert outputs == pytest.approx(np.stack(list(predictor(list(images)))), abs=step + 1e-5)
    assert RUN[form](file, images[:1]) == pytest.approx(outputs[:1], abs=1e-5)


@pytest.mark.parametrize("form", ["torchscript", pytest.param("onnx", marks=needs_onnx)])
def test_a_file_says_what_it_is_of(trained: Trained, form: Format) -> None:
    trained("multiclass")
    decision = read_decision(DECISION, "tiny", "multiclass")
    write_decision(DECISION, replace(decision, temperature=2.5))
    assert main(["export", "tiny", f"--{form}", "--fold", "1", "--out", f"a/{NAMES[form]}"]) == 0
    values = read_description(Path("a", NAMES[form]), form)
    expected = json.loads(Path("models/tiny/fold1/model.json").read_text())
    for key in ("task", "height", "width", "fit", "weights", "fold"):
        assert values[key] == expected[key], key
    assert values["outputs"] == expected["classes"]
    assert values["competition"] == "tiny"
    assert values["temperature"] == 2.5
    assert values["threshold"] is None
    assert values["jpeg_quality"] == 60
    assert values["size_multiple"] is None
    assert b"site-packages" not in Path("a", NAMES[form]).read_bytes()  # a path of this machine


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_the_temperature_is_in_the_file(trained: Trained, kind: str) -> None:
    trained(kind)
    task = "multiclass" if kind == "multiclass" else "multilabel"
    images = pictures(loaded(), 2)
    export(loaded(), Path("plain.pt"), "torchscript")
    decision = read_decision(DECISION, "tiny", task)
    write_decision(DECISION, replace(decision, temperature=2.0))
    export(loaded(), Path("cooler.pt"), "torchscript")
    plain = run_torchscript(Path("plain.pt"), images).astype(np.float64)
    # The root of the odds: of classes by share, of labels against its own rest.
    roots = np.sqrt(plain)
    rest = roots.sum(axis=1, keepdims=True) if kind == "multiclass" else roots + np.sqrt(1 - plain)
    assert run_torchscript(Path("cooler.pt"), images) == pytest.approx(roots / rest, abs=1e-5)


def test_a_file_that_predicts_something_else_is_not_written(trained: Trained) -> None:
    """A trace keeps the one side of a branch that its example took."""
    trained("multiclass")
    Path("there.pt").write_text("before")
    with pytest.raises(ArtifactError, match=r"TorchScript file would predict something else") as e:
        export(loaded(Channels(branches=True)), Path("there.pt"), "torchscript")
    assert "on 8 random and 0 stored pictures" in str(e.value)
    assert "at most 1.0e-04" in str(e.value)
    assert "--onnx" in str(e.value)
    assert [path.name for path in Path().glob("there*")] == ["there.pt"]
    assert Path("there.pt").read_text() == "before"


@pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")
def test_a_torch_that_cannot_write_onnx_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.6.0+cu124")
    with pytest.raises(ResourceError, match=r"found: torch 2\.6\.0[\s\S]*or write TorchScript"):
        require_onnx()


@needs_onnx
def test_a_network_that_cannot_be_exported_is_named(trained: Trained) -> None:
    trained("multiclass")
    with pytest.raises(ParamsError, match="small_cnn cannot be written as ONNX"):
        export(loaded(Channels(branches=True)), Path("no.onnx"), "onnx")
    assert not list(Path().glob("no*"))


def test_a_full_disk_is_an_error_and_leaves_nothing(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """Torch's own writing of a file would end the process, without a word."""
    trained("binary")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, limits[1]))
    try:
        code = main(["export", "tiny", "--torchscript", "--out", "net.pt"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 5
    assert "net.pt: File too large\n  to do: raise the limit" in capsys.readouterr().err
    assert not list(Path().glob("*net*"))


def test_nobody_elses_file_is_written(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = trained("binary")
    tiny.put(root / "net.pt.part", "of the user's")
    assert main(["export", "tiny", "--torchscript", "--out", "net.pt"]) == 0
    assert (root / "net.pt.part").read_text() == "of the user's"
    with work_beside(root / "net.pt"):
        with pytest.raises(ParamsError, match="another run writes this result"):
            export(loaded(), root / "net.pt", "torchscript")
        tiny.put(root / ".net.pt.part/result/net.pt", "of the other run")
    monkeypatch.setattr("darkroom.cli.export.export", None)
    for out in ("models/tiny/fold0/model.pt", "data/raw/x.pt"):
        assert main(["export", "tiny", "--torchscript", "--out", out]) == 2
        assert "what stages write stands in" in capsys.readouterr().err


def test_a_network_is_left_as_it_was(trained: Trained) -> None:
    trained("binary")
    predictor = loaded()
    flags = [each.requires_grad for each in predictor.networks[0].parameters()]
    export(predictor, Path("net.pt"), "torchscript")
    assert [each.requires_grad for each in predictor.networks[0].parameters()] == flags
    assert any(flags)


def test_outputs_that_are_no_numbers_or_of_another_shape_differ(trained: Trained) -> None:
    trained("multiclass")
    predictor = loaded()
    images = pictures(predictor, 2)
    nothing = images[:0]

    def run(value: float, columns: int = 3) -> float:
        def outputs(some: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
            return np.full((len(some), columns), value, np.float32)

        return compare(predictor, outputs, images, nothing).difference

    assert np.isnan(run(np.nan))
    assert np.isnan(run(1.0, columns=2))
    assert 0.5 < run(1.0) <= 1


def test_values_may_differ_by_a_share_of_the_largest(trained: Trained) -> None:
    trained("regression")
    predictor = replace(loaded(), choice=Predict.model_validate({}))
    images = pictures(predictor, 2)
    largest = float(np.abs(np.stack(list(predictor(list(images))))).max())
    assert largest > 10
    parity = compare(predictor, lambda some: np.zeros((len(some), 2), np.float32), images, images)
    assert parity.limit == pytest.approx(1e-4 * largest)
    assert parity.difference == pytest.approx(largest)


def test_random_pictures_are_dark_and_bright_and_always_the_same() -> None:
    images = random_pictures(8, 32, 48, 3)
    assert images.shape == (8, 32, 48, 3)
    assert images.dtype == np.uint8
    means = images.mean(axis=(1, 2, 3))
    assert means[0] < 60
    assert means[-1] > 245
    assert np.array_equal(images, random_pictures(8, 32, 48, 3))


def test_a_network_that_predicts_tiles_takes_tiles(trained: Trained) -> None:
    trained("masks")
    plain = loaded()
    large = Preparation(ShardFormat(64, 48, "pad", "raw"))
    choice = Predict.model_validate({"tiles": {"height": 32, "width": 64}})
    predictor = replace(plain, preparation=large, choice=choice)
    assert input_size(replace(predictor, choice=plain.choice)) == (64, 48)
    assert input_size(predictor) == (32, 48)
    stored = pictures(predictor, 2)
    assert export(predictor, Path("tile.pt"), "torchscript", stored).stored == 2
    assert run_torchscript(Path("tile.pt"), stored[:, :32]).shape == (2, 1, 32, 48)


class OneSize(nn.Module):
    """Adds rows that are as many as the first picture has, whatever comes later."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=1, keepdim=True) + torch.arange(int(images.shape[-2]))[:, None] / 64


@pytest.mark.parametrize("form", ["torchscript", pytest.param("onnx", marks=needs_onnx)])
def test_masks_have_the_size_of_any_picture(
    trained: Trained, form: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    trained("masks")
    file = Path(NAMES[form])
    assert main(["export", "tiny", f"--{form}", "--out", str(file)]) == 0
    assert "images uint8 (N, H, W, 3) -> probabilities" in capsys.readouterr().out
    assert read_description(file, form)["size_multiple"] == 1
    predictor = replace(loaded(), choice=Predict.model_validate({}))
    large = replace(predictor, preparation=Preparation(ShardFormat(52, 68, "pad", "raw")))
    images = pictures(large, 2)
    expected = np.stack(list(large(list(images))))
    assert RUN[form](file, images) == pytest.approx(expected, abs=0.5 / 255 + 1e-5)


def test_a_network_that_works_for_one_size_alone_is_exported_for_it(trained: Trained) -> None:
    trained("masks")
    predictor = loaded(OneSize())
    assert export(predictor, Path("one.pt"), "torchscript").step == 0
    assert read_description(Path("one.pt"), "torchscript")["size_multiple"] is None
    assert run_torchscript(Path("one.pt"), pictures(predictor, 3)).shape == (3, 1, 32, 32)
    assert [path.name for path in Path().glob("one*")] == ["one.pt"]


def test_sizes_are_multiples_of_what_the_network_asks_for(trained: Trained) -> None:
    trained("masks")
    network = nn.Sequential(nn.Identity(), nn.Identity())
    assert size_step(loaded(network)) == 1
    Sizes("a", multiple=8).guard(network[0])
    Sizes("b", multiple=12).guard(network[1])
    assert size_step(loaded(network)) == 24
    Sizes("c", only=(32, 32)).guard(network)
    assert size_step(loaded(network)) == 0


def test_what_of_predict_is_not_in_the_file_is_said(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    trained("masks")
    assert main(["export", "tiny", "--torchscript"]) == 0
    assert capsys.readouterr().err.endswith("tiny: not in the file: tta of `predict`\n")


def test_without_shards_random_pictures_are_enough(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(trained("binary") / "data/processed")
    assert main(["export", "tiny", "--torchscript"]) == 0
    assert "on 8 random and 0 stored pictures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--torchscript", "--out", "a.onnx"], 2, "expected: a name that ends in .pt"),
        (["--torchscript", "--fold", "7"], 6, "models/tiny/fold7: there is no trained model here"),
        (["--torchscript", "--fold", "all"], 6, "models/tiny/foldall"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    trained: Trained,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    trained("binary")
    assert main(["export", "tiny", *arguments]) == code
    assert words in capsys.readouterr().err
    assert not Path("exports").exists()


def test_a_decision_is_needed_and_must_be_of_these_networks(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    trained("binary")
    decision = read_decision(DECISION, "tiny", "binary")
    write_decision(DECISION, replace(decision, networks=("0" * 64,)))
    assert main(["export", "tiny", "--torchscript"]) == 6
    assert "on the predictions of other networks" in capsys.readouterr().err
    DECISION.unlink()
    assert main(["export", "tiny", "--torchscript"]) == 6
    assert "run `dvc repro evaluate@tiny` first" in capsys.readouterr().err


def test_a_blend_is_refused_with_its_members(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained("binary")

    def blend(params: dict[str, Any]) -> None:
        other = {**params["tiny"], "model": {"name": "resnet18"}}
        params.update(competitions=["tiny", "other"], other=other)
        params["blends"] = [{"name": "both", "members": ["tiny", "other"], "method": "mean"}]

    tiny.edit(root, blend)
    assert main(["export", "both", "--torchscript"]) == 2
    assert "export its members: tiny, other" in capsys.readouterr().err


def test_onnx_without_its_packages_says_what_to_install(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained("binary")

    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not there
    assert main(["export", "tiny", "--onnx"]) == 5
    message = capsys.readouterr().err
    assert "the package onnx is needed, and is not installed" in message
    assert re.search("pip install onnx.*, or write TorchScript: --torchscript", message)
