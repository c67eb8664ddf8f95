"""predict: trained models on new pictures, or on a test set given by its raw files.

No stage, unlike `predict NAME` alone: it needs models, params.yaml, the decision and the card.
"""

import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from darkroom.deploy.outputs import TABLE_SUFFIXES
from darkroom.deploy.pictures import find_pictures, predict_pictures
from darkroom.deploy.predictor import Predictor, load_folders
from darkroom.deploy.test_set import read_test_set, write_test_set
from darkroom.deploy.trained import Surroundings, fold_folders
from darkroom.errors import ArtifactError, DataError, ParamsError
from darkroom.index.table import read_card
from darkroom.project.paths import PARAMS, Fold
from darkroom.raw.archives import Archives
from darkroom.stages._context import Context, require

_SUBMISSION_SUFFIXES = (".csv", ".csv.gz")


def run(
    context: Context,
    *,
    images: Path | None,
    raw: Path | None,
    out: Path,
    fold: Fold | None = None,
    overlay: bool = False,
) -> None:
    """Predict pictures, or the test set of a raw folder, with the models of a competition."""
    if context.blend is not None:
        raise ParamsError(
            f"{context.name} is a blend, and new pictures are predicted by one section",
            file=PARAMS,
            found=f"`darkroom predict {context.name}`",
            expected=f"one of its members: {', '.join(context.blend.members)}",
        )
    has_masks = context.section.data.task == "segmentation"
    if overlay and (images is None or not has_masks):
        raise ParamsError("--overlay draws masks on new pictures", expected="--images, and masks")
    _check_out(out, masks=has_masks and images is not None, is_submission=images is None)
    for path in filter(None, (images, raw)):
        if not path.exists():
            raise DataError("it is not there", file=path, fix="correct the path")
    predictor = _load(context, fold, needs_card=raw is not None)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        if images is not None:
            _predict_pictures(context.name, predictor, images, out, Path(scratch), overlay)
        elif raw is not None:
            _predict_test_set(context, predictor, raw, out, Path(scratch))


def _check_out(out: Path, *, masks: bool, is_submission: bool) -> None:
    """Refuse what results can't be written to, before anything is loaded."""
    suffixes = _SUBMISSION_SUFFIXES if is_submission else TABLE_SUFFIXES
    if not masks:
        if not out.name.endswith(suffixes):
            raise ParamsError(
                "the kind of table to write is not known",
                found=f"--out {out}",
                expected=f"a name that ends in {', '.join(suffixes)}",
            )
        return
    if out.name.endswith(TABLE_SUFFIXES):
        raise ParamsError(
            "masks are written into a folder", found=f"--out {out}", expected="a new folder"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ParamsError(
            "there is something already",
            file=out,
            expected="a new or empty folder",
            fix="name another folder, or remove this one",
        )


def _load(context: Context, fold: Fold | None, *, needs_card: bool) -> Predictor:
    paths = context.paths
    folds = context.folds if fold is None else (fold,)
    folders = fold_folders(paths.model(0).parent, folds)
    require(paths.decision, "evaluate", context.name)
    has_card = needs_card or paths.card.is_file()
    card = read_card(paths.card) if has_card else None
    beside = Surroundings(context.name, paths, context.section, folds, card)
    return load_folders(folders, beside)


def _predict_pictures(
    name: str, predictor: Predictor, images: Path, out: Path, scratch: Path, overlay: bool
) -> None:
    pictures, others = find_pictures(images, scratch)
    if others:
        more = f", such as {others[0]}"
        print(f"{name}: {len(others)} files that are no pictures{more}", file=sys.stderr)
    total = len(pictures)
    with tqdm(total=total, desc=f"predict {name}", unit="img", disable=None) as bar:
        errors = predict_pictures(predictor, pictures, out, bar.update, overlay=overlay)
    print(f"{name}: {total - len(errors)} pictures, {len(predictor.networks)} networks, in {out}")
    if errors:
        raise DataError(
            f"{len(errors)} of {total} pictures cannot be read, and are left out of {out}",
            details=errors,
            fix="correct or remove these files, and run it again",
        )


def _predict_test_set(
    context: Context, predictor: Predictor, raw: Path, out: Path, scratch: Path
) -> None:
    numbered = {
        info["fold"]: info["weights"]
        for info in predictor.infos
        if isinstance(info.get("fold"), int)
    }
    if predictor.decision.networks != tuple(numbered[fold] for fold in sorted(numbered)):
        raise ArtifactError(
            "it was chosen on the predictions of other networks than those that predict here",
            file=context.paths.decision,
            fix=f"run `dvc repro evaluate@{context.name}`, or predict with all folds of {PARAMS}",
        )
    assert predictor.beside is not None
    card = predictor.beside.card
    assert card is not None
    archives = Archives(raw, scratch)
    test = read_test_set(archives, context.section.data, card, predictor.preparation)
    rows = write_test_set(predictor, test, card, out)
    print(f"{context.name}: {rows} rows of {len(test.ids)} test images in {out}")
