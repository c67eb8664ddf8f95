"""Augmentation by albumentations and by torchvision: `python -m benchmarks.augment`.

Each change of the presets, always applied and with the same strength in both libraries, to a
picture and a mask of 959x640 as the loader hands them over (uint8, channels last), one thread. All
take turns in one run; the medians of the rounds are printed. Torchvision's
`torchvision.transforms.v2` works on uint8 tensors, which share their memory with the picture.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else the library asks a server for its version

import albumentations as A
import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmarks.loader import DATA, HEIGHT, WIDTH, drawn_pictures, real_pictures
from darkroom.images import codec, geometry
from darkroom.images.codec import Pixels
from darkroom.images.geometry import cv2
from darkroom.training.augment.presets import Sharpness, preset_transforms, random_erasing

ROUNDS = 15
ANGLE, ZOOM = 5.0, 1.1
WINDOW = (100, 200, 320, 480)  # top, left, height, width
BILINEAR = v2.InterpolationMode.BILINEAR

Scene = tuple[Pixels, Pixels]  # a picture (H, W, 3) and its mask (H, W)
Change = Callable[[], Scene]


class Zoomed(v2.Transform):  # type: ignore[misc]  # untyped
    """Enlarges one fixed window of a picture and its mask to their size."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return the window of one of them; a mask by nearest neighbours, as the library does."""
        return v2.functional.resized_crop(inpt, *WINDOW, [HEIGHT, WIDTH], antialias=False)


def pairs() -> dict[str, tuple[list[Any], list[Any]]]:
    """Return each change by its name: transforms of albumentations, and of torchvision."""
    top, left, height, width = WINDOW
    same = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    distort = preset_transforms("elastic")[0].transforms[0]
    affine = A.Affine(scale=ZOOM, rotate=(ANGLE, ANGLE), p=1.0)  # at the edge black, as the other
    one = {"p": 1.0}
    return {
        "flip": ([A.HorizontalFlip(p=1.0)], [v2.RandomHorizontalFlip(1.0)]),
        "rotation and zoom": (
            [affine],
            [v2.RandomAffine((-ANGLE, -ANGLE), scale=(ZOOM, ZOOM), interpolation=BILINEAR)],
        ),
        "window, enlarged": (
            [A.Crop(left, top, left + width, top + height), A.Resize(HEIGHT, WIDTH)],
            [Zoomed()],
        ),
        "brightness": (
            [A.ColorJitter(**{**same, "brightness": (1.2, 1.2)}, p=1.0)],
            [v2.ColorJitter(brightness=(1.2, 1.2))],
        ),
        "contrast": (
            [A.ColorJitter(**{**same, "contrast": (1.2, 1.2)}, p=1.0)],
            [v2.ColorJitter(contrast=(1.2, 1.2))],
        ),
        "saturation, hue": (
            [A.ColorJitter(**{**same, "saturation": (1.2, 1.2), "hue": (0.02, 0.02)}, p=1.0)],
            [v2.ColorJitter(saturation=(1.2, 1.2), hue=(0.02, 0.02))],
        ),
        "sharpness": ([Sharpness((1.5, 1.5))], [v2.RandomAdjustSharpness(1.5, 1.0)]),
        "posterize": ([A.Posterize((4, 4), **one)], [v2.RandomPosterize(4, 1.0)]),
        "solarize": ([A.Solarize((0.5, 0.5), **one)], [v2.RandomSolarize(127.5, 1.0)]),
        "autocontrast": ([A.AutoContrast(method="pil", **one)], [v2.RandomAutocontrast(1.0)]),
        "equalize": ([A.Equalize(**one)], [v2.RandomEqualize(1.0)]),
        "blur": (
            [A.GaussianBlur((5, 5), sigma_limit=(1.0, 1.0), **one)],
            [v2.GaussianBlur(5, (1.0, 1.0))],
        ),
        "erased box": ([random_erasing(1.0)], [v2.RandomErasing(1.0, value=0)]),
        "elastic": ([distort], [v2.ElasticTransform(50.0, 12.0)]),
    }


RANDOM = ("erased box", "elastic")  # each library draws its own: no picture to compare


def ours(transforms: list[Any], picture: Pixels, mask: Pixels) -> Change:
    """Return a change of this picture and mask by albumentations."""
    compose = A.Compose(transforms, seed=0)

    def change() -> Scene:
        result = compose(image=picture, mask=mask)
        return result["image"], result["mask"]

    return change


def theirs(transforms: list[Any], picture: Pixels, mask: Pixels) -> Change:
    """Return a change of this picture and mask by torchvision, to arrays again."""
    compose = v2.Compose(transforms)
    image = tv_tensors.Image(torch.from_numpy(picture).permute(2, 0, 1))
    label = tv_tensors.Mask(torch.from_numpy(mask)[None])

    def change() -> Scene:
        changed, moved = compose(image, label)
        return changed.permute(1, 2, 0).numpy(), moved[0].numpy()

    return change


def measure(changes: dict[str, tuple[Change, Change]], rounds: int) -> dict[str, list[float]]:
    """Return the median CPU milliseconds of both libraries; a first round warms up."""
    times: dict[str, list[list[float]]] = {name: [[], []] for name in changes}
    for number in range(rounds + 1):
        for name, both in changes.items():
            for taken, change in zip(times[name], both, strict=True):
                start = time.process_time()
                change()
                if number:
                    taken.append(1000 * (time.process_time() - start))
    return {name: [statistics.median(taken) for taken in both] for name, both in times.items()}


def difference(name: str, both: tuple[Change, Change]) -> list[str]:
    """Return the mean and the greatest difference in levels, and the share of mask pixels."""
    if name in RANDOM:
        return ["", "", ""]
    (picture, mask), (other, other_mask) = both[0](), both[1]()
    levels = np.abs(picture.astype(int) - other)
    return [f"{levels.mean():.2f}", str(levels.max()), f"{(mask != other_mask).mean():.2%}"]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of Carvana's zip files")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    options = parser.parse_args(arguments)
    # That it leaves masks as they are is what is wanted.
    warnings.filterwarnings("ignore", message="RandomErasing")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    is_real = (options.data / "train.zip").is_file()
    (raw,) = real_pictures(options.data, 1) if is_real else drawn_pictures(1)
    picture = codec.decode_image(raw.image, at_least=(HEIGHT, WIDTH))
    picture = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    mask = geometry.fit_mask(codec.decode_mask(raw.mask)[0], HEIGHT, WIDTH, "stretch")
    changes = {
        name: (ours(by_us, picture, mask), theirs(by_them, picture, mask))
        for name, (by_us, by_them) in pairs().items()
    }
    times = measure(changes, 1 if options.quick else ROUNDS)
    print("| change | albumentations, ms | torchvision, ms | ratio | differ by | at most | masks |")
    print("|---|---|---|---|---|---|---|")
    for name, (our_ms, their_ms) in times.items():
        ratio = f"{their_ms / our_ms:.1f}x" if our_ms else ""
        cells = [name, f"{our_ms:.2f}", f"{their_ms:.2f}", ratio, *difference(name, changes[name])]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
