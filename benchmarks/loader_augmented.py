"""How fast augmented batches are read, beside the augmenting libraries alone.

    python -m benchmarks.loader_augmented [--data FOLDER] [--presets flip light strong] [--quick]

Ours is the loader of training with a preset, from raw shards: Carvana pictures with masks at
959x640, and faces at 96x80 without. Beside it `albumentations.Compose` of the same transforms and
torchvision's `transforms.v2` of the same kinds and strengths, on the same pictures, which lie in
memory: nothing is read, seeded by picture, or put into batches. One process, one thread; ratios of
CPU seconds, against the faster of the two.
"""

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else the library asks a server for its version

import albumentations as A
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmarks import REALDATA
from benchmarks.harness import Goal, Rate, Report, Table, parser, take_turns
from benchmarks.loader import (
    BATCH_SIZE,
    DATA,
    drawn_pictures,
    face_store,
    read_ours,
    real_pictures,
    shard,
)
from darkroom.images.codec import Pixels
from darkroom.images.geometry import cv2
from darkroom.store.loader import loader
from darkroom.store.store import Store
from darkroom.training.augment.build import build_augmentation
from darkroom.training.augment.presets import preset_transforms

OURS, SHARE = "Darkroom", 0.95
BILINEAR = v2.InterpolationMode.BILINEAR

Scene = tuple[Pixels, Pixels | None]  # a picture (H, W, 3) and its mask (H, W), or None


def torchvision_preset(preset: str) -> list[Any]:
    """Return the transforms of a preset as torchvision has them; its edges are not mirrored."""
    flip = v2.RandomHorizontalFlip(0.5)
    if preset == "flip":
        return [flip]
    shift, zoom, degrees, light = (
        (0.05, 0.10, 5, 0.15) if preset == "light" else (0.10, 0.25, 15, 0.30)
    )
    affine = v2.RandomAffine(degrees, (shift, shift), (1 - zoom, 1 + zoom), interpolation=BILINEAR)
    transforms = [
        flip,
        v2.RandomApply([affine], 0.8),
        v2.RandomApply([v2.ColorJitter(light, light)], 0.8),
        v2.RandomApply([v2.ColorJitter(saturation=light, hue=light / 6)], 0.5),
    ]
    if preset == "strong":
        transforms += [
            v2.RandomApply([v2.GaussianBlur(5, (0.5, 2.0))], 0.2),
            v2.RandomApply([Noise()], 0.2),
        ]
    return transforms


class Noise(v2.Transform):  # type: ignore[misc]  # untyped
    """Gaussian noise on bytes: the library's own is for floats."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return a picture with noise, and a mask as it is."""
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        return v2.functional.gaussian_noise(inpt.float() / 255, 0.0, 0.03).mul(255).byte()


def albumentations_alone(preset: str, scenes: Sequence[Scene]) -> int:
    """Change every picture by albumentations."""
    compose = A.Compose(preset_transforms(preset), seed=0)
    for picture, mask in scenes:
        compose(**({"image": picture} if mask is None else {"image": picture, "mask": mask}))
    return len(scenes)


def torchvision_alone(preset: str, scenes: Sequence[Scene]) -> int:
    """Change every picture by torchvision, as tensors that share its memory."""
    compose = v2.Compose(torchvision_preset(preset))
    for picture, mask in scenes:
        image = tv_tensors.Image(torch.from_numpy(picture).permute(2, 0, 1))
        if mask is None:
            compose(image)
        else:
            compose(image, tv_tensors.Mask(torch.from_numpy(mask)[None]))
    return len(scenes)


def measure(store: Store, preset: str, rounds: int) -> dict[str, Rate]:
    """Return the rates of the three on all pictures of a raw store."""
    has_masks = bool(store.has_mask.all())
    masks = store.masks(range(len(store))) if has_masks else [[None]] * len(store)
    scenes = [(store.image(row).copy(), masks[row][0]) for row in range(len(store))]
    augment = build_augmentation(preset, planes=int(has_masks), size=(store.height, store.width))
    size = BATCH_SIZE if has_masks else 64
    options: dict[str, Any] = {"masks": has_masks, "batch_size": size, "seed": 0}
    ours = loader(store, range(len(store)), None, augment=augment, **options)
    contenders: dict[str, Callable[[], int]] = {
        OURS: partial(read_ours, ours),
        "albumentations alone": partial(albumentations_alone, preset, scenes),
        "torchvision alone": partial(torchvision_alone, preset, scenes),
    }
    return take_turns(contenders, rounds)


def tabulate(rates: Mapping[str, Mapping[str, Rate]]) -> Report:
    """Return the table, a row a case, and a goal each."""
    header = ["", OURS, "albumentations alone", "torchvision alone", "against the faster"]
    result = Report("", [Table(header, title="images for each CPU second")])
    for case, each in rates.items():
        ratio = each[OURS].cpu / max(rate.cpu for name, rate in each.items() if name != OURS)
        result.tables[0].rows.append([case, *(each[name].cpu for name in header[1:4]), ratio])
        result.goals.append(Goal(f"{case}, against the faster", ratio, SHARE))
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("loader_augmented", __doc__)
    choices.add_argument("--data", type=Path, default=DATA, help="folder of Carvana's zip files")
    choices.add_argument("--faces", type=Path, default=REALDATA / "celeba", help="of CelebA's zip")
    presets = ("flip", "light", "strong")
    choices.add_argument("--presets", nargs="+", choices=presets, default=presets)
    options = choices.parse_args(arguments)
    warnings.filterwarnings("ignore", message="RandomErasing")
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    is_real = (options.data / "train.zip").is_file()
    count, rounds = (2, 1) if options.quick else (32, 5)
    cars = real_pictures(options.data, count) if is_real else drawn_pictures(min(count, 8))
    with tempfile.TemporaryDirectory() as folder:
        stores = {
            "959x640 and mask": shard(cars, Path(folder) / "cars", "raw"),
            "faces": face_store(options.faces, Path(folder) / "faces", 64 * count, "raw"),
        }
        rates = {
            f"{name}, {preset}": measure(store, preset, rounds)
            for name, store in stores.items()
            for preset in options.presets
        }
    result = tabulate(rates)
    kind = "real" if is_real else "drawn"
    result.title = f"Augmented {kind} pictures, one thread, medians of {rounds} rounds"
    result.finish(options)


if __name__ == "__main__":
    main()
