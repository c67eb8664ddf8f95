"""Write a trained network as one file that needs no Darkroom: ONNX, or TorchScript.

What stands between a picture and an answer is in the file: normalisation, activation, the
decision's temperature. It takes pictures as decoders give them and as `darkroom.load` takes them,
uint8 (N, H, W, C), so that no user of it has to transpose or to scale. What `preprocess` does
before, fitting to a size, is not in it: every library resizes in another way.

No file is written that predicts something else than the pipeline.
"""

import copy
import io
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from darkroom.deploy.predictor import Predictor
from darkroom.errors import ArtifactError, DarkroomError, ParamsError, ResourceError, one_line
from darkroom.images.codec import Pixels
from darkroom.models.sizes import Sizes
from darkroom.prediction.networks.predict import predict
from darkroom.project import processes
from darkroom.project.packages import extras_needed
from darkroom.project.work import work_beside
from darkroom.store.loader import Batch
from darkroom.tasks.table import Task, get_task

Format = Literal["onnx", "torchscript"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".pt"}
TITLES: dict[Format, str] = {"onnx": "ONNX", "torchscript": "TorchScript"}

INPUT, OUTPUT = "images", "probabilities"
"""The names of the graph's input and output."""
DESCRIPTION = "darkroom.json"
"""The extra file of a TorchScript archive that says what ONNX's metadata_props say."""

MOST_DIFFERENT = 1e-4
"""The most that a probability may differ from the pipeline's; of values, a share of the largest."""

MOST_STORED = 8
"""How many of a competition's pictures a file is compared on."""

_RANDOM = 8  # pictures at most, beside these
_MOST_BYTES = 2**31 - 1  # of an ONNX file: it is one message of protobuf


class Parity(NamedTuple):
    """How far a written file and the pipeline are apart.

    Attributes:
        difference: The largest absolute difference of an output; NaN if one is no number.
        limit: The largest that is allowed.
        random: How many random pictures they were compared on.
        stored: How many of the competition's.
        step: What height and width of pictures must be multiples of; 0: they have one size.
    """

    difference: float
    limit: float
    random: int
    stored: int
    step: int = 0


class ExportedNetwork(nn.Module):
    """A network with all that stands between a picture and its probabilities.

    Args:
        network: From normalised images (N, C, H, W) to logits.
        task: Its activation.
        mean: One a channel, in units of 255.
        std: Likewise.
        temperature: What logits are divided by; 1 for masks and values.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        mean: list[float],
        std: list[float],
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.network, self.task, self.temperature = network, task, temperature
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1) * 255)

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities float32 (N, K), or (N, K, H, W) of masks; values of a regression.

        Args:
            images: uint8 (N, H, W, C), RGB where C is 3, of the stored size.
        """
        normalised = images.permute(0, 3, 1, 2).float().sub(self.mean).div(self.std)
        logits = self.network(normalised)
        if self.temperature != 1:
            logits = logits / self.temperature
        return self.task.activate(logits)


def export(
    predictor: Predictor, file: Path, form: Format, pictures: Pixels | None = None
) -> Parity:
    """Write the one network of a predictor as a file, if it predicts what the pipeline does.

    Args:
        predictor: Of one network; it is left on the CPU.
        file: It is replaced, atomically; one run at a time writes it.
        form: onnx or torchscript.
        pictures: uint8 (N, H, W, C) of the stored size, to compare on beside random ones; a batch
            of them.

    Returns:
        How far they are apart.

    Raises:
        ParamsError: The network cannot be exported; or another run writes this file.
        ArtifactError: The file predicts something else; it is not written.
        ResourceError: ONNX's packages are not installed.
    """
    if form == "onnx":
        require_onnx()
    (network,), (info,) = predictor.networks, predictor.infos
    task = get_task(predictor.task, classes=predictor.mask_classes)
    height, width = input_size(predictor)
    # As many at once as the pipeline takes: of large ones more may not fit into memory.
    count = max(2, min(_RANDOM, predictor.choice.batch_size))
    random = random_pictures(count, height, width, predictor.preparation.format.channels)
    stored = random[:0] if pictures is None else pictures[:count, :height, :width]
    parity: Parity | None = None
    with work_beside(file) as (part, _):
        for step in dict.fromkeys((size_step(predictor), 0)):
            part.unlink(missing_ok=True)
            whole = ExportedNetwork(
                _without_size_checks(network) if step else network.cpu(),
                task,
                list(info["mean"]),
                list(info["std"]),
                predictor.decision.temperature,
            ).eval()
            about = description(predictor) | {"size_multiple": step or None}
            try:
                with _refusing(info["model"], form):
                    _WRITERS[form](whole, random[:2], part, about)
                    parity = compare(predictor, _READERS[form](part), random, stored, step)
            except ParamsError:
                if step:  # one size may do
                    continue
                raise
            if parity.difference <= parity.limit:  # NaN is not
                return parity
        assert parity is not None
        raise ArtifactError(
            f"the {TITLES[form]} file would predict something else than the network",
            file=file,
            found=f"a difference of {parity.difference:.1e} on {parity.random} random and "
            f"{parity.stored} stored pictures",
            expected=f"at most {parity.limit:.1e}",
            fix=f"try --{next(other for other in SUFFIXES if other != form)}",
        )


def input_size(predictor: Predictor) -> tuple[int, int]:
    """Return the height and width, px, of the pictures that a file takes: those of a tile, if any.

    The pipeline asks the network about whole stored pictures, or about their tiles.
    """
    form, tiles = predictor.preparation.format, predictor.choice.tiles
    if tiles is None or predictor.task != "segmentation":
        return form.height, form.width
    return min(tiles.height, form.height), min(tiles.width, form.width)


def size_step(predictor: Predictor) -> int:
    """Return what sizes of pictures a file may be able to take must be multiples of, px.

    0: it takes one size alone. So do all networks of labels: they learned from that size.
    """
    checks = _size_checks(predictor.networks[0])
    if predictor.task != "segmentation" or any(check.only for _, _, check in checks):
        return 0
    return math.lcm(*(check.multiple for _, _, check in checks))


def _size_checks(network: nn.Module) -> list[tuple[nn.Module, int, Sizes]]:
    """Return the hooks that check sizes: the module and the key of each."""
    return [
        (module, key, hook)
        for module in network.modules()
        for key, hook in module._forward_pre_hooks.items()
        if isinstance(hook, Sizes)
    ]


def _without_size_checks(network: nn.Module) -> nn.Module:
    """Return a copy on the CPU that compares no size: an exporter would fix what is compared."""
    copied = copy.deepcopy(network).cpu()
    for module, key, _ in _size_checks(copied):
        del module._forward_pre_hooks[key]
    return copied


def description(predictor: Predictor) -> dict[str, Any]:
    """Return what users of a file must know, as JSON values: its input, output and decision."""
    (info,), form, classes = predictor.infos, predictor.preparation.format, predictor.mask_classes
    tiles = predictor.choice.tiles
    decision = asdict(predictor.decision)
    del decision["networks"]
    return {
        "competition": "" if predictor.beside is None else predictor.beside.name,
        "fold": info.get("fold"),
        "task": predictor.task,
        "outputs": list(predictor.names),
        "height": form.height,
        "width": form.width,
        "channels": form.channels,
        "tiles": None if tiles is None else tiles.model_dump(),
        "fit": form.fit,
        "jpeg_quality": predictor.preparation.quality if form.image == "jpeg" else None,
        "exclusive": classes.exclusive,
        "background": classes.background,
        **decision,
        "network": info["model"],
        "weights": info["weights"],
        "fingerprint": info.get("fingerprint"),
    }


def random_pictures(count: int, height: int, width: int, channels: int) -> Pixels:
    """Return pictures uint8 (count, height, width, channels), always the same ones.

    From dark to bright and from flat to noisy: a branch that depends on the pixels, of which an
    exporter writes one side alone, shows.
    """
    generator = np.random.default_rng(0)
    shape = (count, height, width, channels)
    levels = np.linspace(0, 255, count).reshape(-1, 1, 1, 1)
    noise = np.linspace(16, 128, count)[::-1].reshape(-1, 1, 1, 1)
    values = levels + noise * generator.standard_normal(shape)
    return values.clip(0, 255).astype(np.uint8)


def compare(
    predictor: Predictor,
    run: Callable[[Pixels], NDArray[np.float32]],
    random: Pixels,
    stored: Pixels,
    step: int = 0,
) -> Parity:
    """Return how far a file is from the pipeline: its network in float32, and the decision.

    Args:
        predictor: Of the network. Its views and tiles are left out.
        run: The file: pictures uint8 (N, H, W, C) to outputs.
        random: Pictures; they go in batches of several sizes.
        stored: Likewise.
        step: What the file's sizes are multiples of, and another size is tried; 0: it has one.
    """
    largest, magnitude = 0.0, 1.0
    _, height, width, channels = random.shape
    others = random_pictures(2 if step else 0, height + step, width + 2 * step, channels)
    for pictures in (random, random[:1], others, stored):
        if not len(pictures):
            continue
        expected = _pipeline(predictor, pictures)
        outputs = run(pictures)
        if outputs.shape != expected.shape:
            largest = float("nan")
            continue
        largest = float(np.maximum(largest, np.abs(outputs - expected).max()))  # keeps NaN
        magnitude = max(magnitude, float(np.abs(expected).max()))
    limit = MOST_DIFFERENT * (magnitude if predictor.task == "regression" else 1)
    return Parity(largest, limit, len(random) + len(others), len(stored), step)


def _pipeline(predictor: Predictor, pictures: Pixels) -> NDArray[np.float32]:
    """Return what the stage `predict` says of pictures, at the decision's temperature."""
    (info,) = predictor.infos
    batch = Batch(
        ids=[str(number) for number in range(len(pictures))],
        images=torch.from_numpy(pictures).permute(0, 3, 1, 2),
        targets=None,
        originals=torch.tensor([pictures.shape[1:3]] * len(pictures)),
    )
    (prediction,) = predict(
        predictor.networks,
        [batch],
        predictor.task,
        torch.device("cpu"),
        mean=info["mean"],
        std=info["std"],
        classes=predictor.mask_classes,
    )
    return predictor.decision.calibrated(predictor.task, prediction.probabilities)


@contextmanager
def _refusing(model: Mapping[str, Any], form: Format) -> Iterator[None]:
    """Turn whatever an exporter raises into a ParamsError that names the network.

    Exporters warn of what may go wrong, and of their own age; what did go wrong shows when the file
    is compared.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except (OSError, MemoryError, DarkroomError):
        raise
    except Exception as error:  # they raise of all kinds
        name = model.get("backbone") or model["name"]
        name = f"{name} over {model['encoder']}" if "encoder" in model else name
        raise ParamsError(
            f"{name} cannot be written as {TITLES[form]}",
            found=one_line(error),
            fix=f"try --{next(other for other in SUFFIXES if other != form)}, or another network",
        ) from error


def torch_writes_onnx() -> bool:
    """Return whether this torch can write our networks as ONNX: 2.6 fails at most of them."""
    return not torch.__version__.startswith("2.6.")


def require_onnx() -> None:
    """Refuse to begin without the packages of the extra `export`, or with a torch that is too old.

    Raises:
        ResourceError: One of them is not installed; or torch cannot write our networks.
    """
    with extras_needed(instead="write TorchScript: --torchscript"):
        import onnx  # noqa: PLC0415, F401  (an extra)
        import onnxruntime  # noqa: PLC0415, F401
        import onnxscript  # noqa: PLC0415, F401
    if not torch_writes_onnx():
        raise ResourceError(
            "this torch cannot write ONNX",
            found=f"torch {torch.__version__}",
            expected="a newer one (2.15 is tested)",
            fix="install a newer torch, or write TorchScript: --torchscript",
        )


def _write_onnx(
    network: ExportedNetwork, example: Pixels, file: Path, about: Mapping[str, Any]
) -> None:
    """Write ONNX, and what it is about as metadata_props.

    Batches have any number of pictures; these have any size, if there is a `size_multiple`.
    """
    if (size := sum(each.nbytes for each in network.state_dict().values())) > _MOST_BYTES:
        raise ValueError(f"{size} bytes of weights; an ONNX file holds at most {_MOST_BYTES}")
    sizes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if step := about["size_multiple"]:
        sizes |= {1: step * torch.export.Dim("rows"), 2: step * torch.export.Dim("columns")}
    program = torch.onnx.export(
        network,
        (torch.from_numpy(example),),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=(sizes,),
        verbose=False,
    )
    assert program is not None
    model = program.model
    model.producer_name = "darkroom"
    for key, value in about.items():
        model.metadata_props[key] = json.dumps(value)
    # Lines of source with the paths of this machine, a fifth of a small file.
    graphs: list[Any] = [model.graph, *model.functions.values()]
    for graph in graphs:
        for node in graph.all_nodes():
            node.metadata_props.clear()
    program.save(file, external_data=False)


def _run_onnx(file: Path) -> Callable[[Pixels], NDArray[np.float32]]:
    import onnxruntime  # noqa: PLC0415  (an extra)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processes.cores()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(pictures: Pixels) -> NDArray[np.float32]:
        (outputs,) = session.run([OUTPUT], {INPUT: pictures})
        return np.asarray(outputs)

    return run


def _write_torchscript(
    network: ExportedNetwork, example: Pixels, file: Path, about: Mapping[str, Any]
) -> None:
    """Write a traced network: a script needs annotations that most networks lack."""
    trace: Callable[..., Any] = torch.jit.trace  # without types
    trainable = [each for each in network.parameters() if each.requires_grad]
    network.requires_grad_(False)  # the file holds it: its outputs turn into arrays as they are
    try:
        traced = trace(network, torch.from_numpy(example), check_trace=False)
        data = io.BytesIO()  # of a full disk, torch's own writing ends the process
        torch.jit.save(traced, data, _extra_files={DESCRIPTION: json.dumps(about)})
        file.write_bytes(data.getbuffer())
    finally:
        for each in trainable:
            each.requires_grad_(True)


def _run_torchscript(file: Path) -> Callable[[Pixels], NDArray[np.float32]]:
    load: Callable[..., Any] = torch.jit.load  # without types
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit's age
        network = load(file, map_location="cpu")

    def run(pictures: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(pictures)).numpy())

    return run


_WRITERS: dict[Format, Callable[[ExportedNetwork, Pixels, Path, Mapping[str, Any]], None]] = {
    "onnx": _write_onnx,
    "torchscript": _write_torchscript,
}
_READERS: dict[Format, Callable[[Path], Callable[[Pixels], NDArray[np.float32]]]] = {
    "onnx": _run_onnx,
    "torchscript": _run_torchscript,
}
