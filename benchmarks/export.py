"""How far exported files are from the pipeline, for a network of each family that ships.

    python -m benchmarks.export [--network swin_t ...] [--form onnx torchscript]

Each network has its first weights and three outputs, is exported by `darkroom.deploy.export`, and
compared there. A row has the largest absolute difference of a probability, and `n × 32` where a
file takes pictures of all sizes that are multiples of 32 px; the size of the file; and the
processor's seconds of export and comparison.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from darkroom.deploy.export import SUFFIXES, Format, export
from darkroom.deploy.predictor import Predictor
from darkroom.deploy.preparation import Preparation
from darkroom.errors import ParamsError, one_line
from darkroom.models.build import build_network, normalisation
from darkroom.params.evaluate import Predict
from darkroom.params.networks import MASK_NAMES
from darkroom.prediction.decision import Decision
from darkroom.store.shard import ShardFormat

SIDE = 64  # of pictures, px, where a network takes any

# By what stands in the table: the arguments, and the side that a network needs.
NETWORKS: dict[str, tuple[dict[str, Any], int]] = {
    "unet": ({"width": 8, "depth": 3}, SIDE),
    "encoder_unet, resnet18": ({"encoder": "resnet18"}, SIDE),
    "encoder_unet, efficientnet-b0": ({"encoder": "efficientnet-b0"}, SIDE),
    "encoder_unet, tu-convnext_atto": ({"encoder": "tu-convnext_atto"}, SIDE),
    "unetplusplus, resnet18": ({"encoder": "resnet18"}, SIDE),
    "fpn, resnet18": ({"encoder": "resnet18"}, SIDE),
    "deeplabv3plus, resnet18": ({"encoder": "resnet18"}, SIDE),
    "segformer, mit_b0": ({"encoder": "mit_b0"}, SIDE),
    "small_cnn": ({}, SIDE),
    **{
        name: ({}, SIDE)
        for name in (
            *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s"),
            *("googlenet", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf"),
            *("resnet18", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t"),
            *("swin_v2_t", "vgg11", "wide_resnet50_2"),
        )
    },
    "inception_v3": ({}, 96),
    "maxvit_t": ({}, 224),
    "vit_b_32": ({}, 224),
    **{
        f"timm, {name}": ({"backbone": name, "size": (side, side)}, side)
        for name, side in {
            "convnext_atto": SIDE,
            "tf_efficientnetv2_b0": SIDE,
            "vit_tiny_patch16_224": 224,
            "eva02_tiny_patch14_224": 224,
            "swin_tiny_patch4_window7_224": 224,
            "resnet18d": SIDE,
            "nfnet_l0": SIDE,
            "eca_nfnet_l0": SIDE,
            "maxvit_pico_rw_256": 256,
        }.items()
    },
}


def predictor_of(label: str) -> Predictor:
    """Return the predictor of a network of `NETWORKS`, with its first weights."""
    arguments, side = NETWORKS[label]
    name = label.partition(",")[0]
    network = build_network(name, outputs=3, seed=0, **arguments).eval()
    mean, std = normalisation(name, **arguments)
    info = {
        "task": "segmentation" if name in MASK_NAMES else "multilabel",
        "targets": ["a", "b", "c"],
        "classes": [],
        "model": {"name": name, "outputs": 3, **arguments},
        "mean": mean,
        "std": std,
        "weights": "0" * 64,
    }
    preparation = Preparation(ShardFormat(side, side, "pad", "raw"))
    choice = Predict.model_validate({"accelerator": "cpu"})
    return Predictor((network,), (info,), preparation, choice, Decision())


def row(label: str, forms: Sequence[Format]) -> str:
    """Return a network's row of the table."""
    cells = [label, str(NETWORKS[label][1])]
    for form in forms:
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "net").with_suffix(SUFFIXES[form])
            try:
                parity = export(predictor_of(label), file, form)
            except ParamsError as error:
                cells += [one_line(error), "", ""]
                continue
            size = f"{file.stat().st_size / 1e6:.1f}"
        sizes = f", n × {parity.step}" if parity.step else ""
        cells += [f"{parity.difference:.0e}{sizes}", size, f"{time.process_time() - start:.1f}"]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--form", nargs="*", choices=SUFFIXES, default=list(get_args(Format)))
    options = parser.parse_args(arguments)
    heads = [f"{form}, difference | MB | CPU s" for form in options.form]
    print(f"| network | side, px | {' | '.join(heads)} |")
    print(f"|---|---|{'---|' * 3 * len(heads)}")
    for label in options.network:
        print(row(label, options.form), flush=True)


if __name__ == "__main__":
    main()
