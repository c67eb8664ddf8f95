"""export: a fold's network as one file, ONNX or TorchScript, that predicts without Darkroom."""

import sys
from pathlib import Path

import numpy as np

from darkroom.cli.predict import check_place
from darkroom.deploy.export import (
    INPUT,
    MOST_STORED,
    OUTPUT,
    SUFFIXES,
    Format,
    export,
    input_size,
    require_onnx,
)
from darkroom.deploy.predictor import Predictor, load_folders
from darkroom.deploy.trained import Surroundings, fold_folders
from darkroom.errors import ArtifactError, ParamsError
from darkroom.images.codec import Pixels
from darkroom.project.checked_json import ABSENT
from darkroom.project.files import matching_files
from darkroom.project.paths import Fold
from darkroom.stages._context import Context
from darkroom.store.store import Store

FOLDER = Path("exports")
_PARTS = ("test", "train")


def run(context: Context, *, fold: Fold, form: Format, out: Path | None) -> None:
    """Write the network of a fold, compared with the pipeline's predictions."""
    name = context.name
    if context.blend is not None:
        members = ", ".join(context.blend.members)
        raise ParamsError(
            "a blend is several networks, and a file holds one",
            found=name,
            fix=f"export its members: {members}",
        )
    file = FOLDER / f"{name}-fold{fold}{SUFFIXES[form]}" if out is None else out
    if file.suffix != SUFFIXES[form]:
        raise ParamsError(
            "the name does not say what the file holds",
            found=f"--out {file}",
            expected=f"a name that ends in {SUFFIXES[form]}",
        )
    check_place(context, file)
    if form == "onnx":
        require_onnx()
    predictor = _load(context, fold)
    parity = export(predictor, file, form, _stored_pictures(context, predictor))
    height, width = ("H", "W") if parity.step else input_size(predictor)
    shape = f"uint8 (N, {height}, {width}, {predictor.preparation.format.channels})"
    if parity.step > 1:
        shape += f", H and W multiples of {parity.step},"
    print(f"{name}: {file}, {file.stat().st_size / 1e6:.1f} MB: {INPUT} {shape} -> {OUTPUT}")
    print(
        f"{name}: differs from the pipeline by {parity.difference:.1e} at most (allowed: "
        f"{parity.limit:.1e}), on {parity.random} random and {parity.stored} stored pictures"
    )
    if left_out := _left_out(context):
        print(f"{name}: not in the file: {', '.join(left_out)} of `predict`", file=sys.stderr)


def _load(context: Context, fold: Fold) -> Predictor:
    """Return the predictor of a fold, with the decision that was chosen on its predictions."""
    paths = context.paths
    folders = fold_folders(paths.model(fold).parent, (fold,))
    if not paths.decision.is_file():  # the temperature stands there
        fix = f"run `dvc repro {paths.dvc_stage('evaluate')}` first"
        raise ArtifactError(ABSENT, file=paths.decision, fix=fix)
    beside = Surroundings(context.name, paths, context.section, (fold,))
    return load_folders(folders, beside, accelerator="cpu")


def _stored_pictures(context: Context, predictor: Predictor) -> Pixels | None:
    """Return a few pictures of the competition, uint8 (N, H, W, C); None where no shards are."""
    for part in _PARTS:
        if matching_files(context.paths.processed, f"{part}-*.arrow"):
            store = Store(context.paths.processed, part)
            if store.format.channels != predictor.preparation.format.channels:
                return None
            step = max(1, len(store) // MOST_STORED)
            rows = range(0, len(store), step)[:MOST_STORED]
            return np.stack([store.image(row) for row in rows])
    return None


def _left_out(context: Context) -> list[str]:
    """Return the keys of `predict` that the pipeline's predictions come from, and no file has."""
    choice = context.section.predict
    keys = {"tta": choice.tta, "scales": choice.scales != [1.0], "tiles": choice.tiles}
    return [key for key, value in keys.items() if value]
