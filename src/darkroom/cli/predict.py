"""predict: trained models on new pictures, or on a test set given by its raw files.

No stage, unlike `predict NAME` alone: it needs models, params.yaml, the decision and the card.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from darkroom.deploy.outputs import TABLE_SUFFIXES
from darkroom.deploy.pictures import find_pictures, predict_pictures
from darkroom.deploy.predictor import Predictor, blend_predictors, load_folders
from darkroom.deploy.preparation import path_kind
from darkroom.deploy.test_set import read_test_set, write_test_set
from darkroom.deploy.trained import Surroundings, fold_folders
from darkroom.errors import ArtifactError, DataError, ParamsError, one_line
from darkroom.index.table import read_card
from darkroom.models.device import choose_device
from darkroom.prediction.blending.saved import read_mixes
from darkroom.prediction.decision import Decision, read_decision
from darkroom.project.checked_json import ABSENT
from darkroom.project.paths import PARAMS, Fold
from darkroom.project.processes import exit_on_signals
from darkroom.project.work import work_beside
from darkroom.raw.archives import Archives
from darkroom.stages._context import Context

_SUBMISSION_SUFFIXES = (".csv", ".csv.gz")
_OF_STAGES = ("data", "models", "reports")


def run(
    context: Context,
    *,
    images: Path | None,
    raw: Path | None,
    out: Path,
    fold: Fold | None = None,
    overlay: bool = False,
) -> None:
    """Predict pictures, or the test set of a raw folder, with the models of a section or blend."""
    has_masks = context.section.data.task == "segmentation"
    if overlay and (images is None or not has_masks):
        raise ParamsError("--overlay draws masks on new pictures", expected="--images, and masks")
    has_masks = has_masks and images is not None
    _check_out(out, masks=has_masks, is_submission=images is None)
    check_place(context, out)
    for path in filter(None, (images, raw)):
        kind = path_kind(path)
        if kind not in ("file", "folder"):
            faults = {"": "it is not there", "unknown": "it may not be read"}
            raise DataError(
                faults.get(kind, "a pipe or a device"),
                file=path,
                fix="change its permissions" if kind == "unknown" else "correct the path",
            )
    if images is not None and out.exists() and out.resolve().is_relative_to(images.resolve()):
        raise ParamsError(
            "the result would replace what it is made of",
            found=f"--out {out}",
            fix="name another file",
        )
    if raw is not None:
        _check_raw(raw, out)
    # Masks take the place of the empty folder that a link leads to, a file that of the link.
    result = out.resolve() if has_masks else out
    total, errors, rows = 0, list[str](), ""
    with exit_on_signals(), work_beside(result) as (part, scratch):
        predictor = load_predictor(context, fold, needs_card=raw is not None)
        if images is not None:
            total, errors = _predict_pictures(
                context.name, predictor, images, part, scratch, overlay=overlay
            )
        elif raw is not None:
            rows = _predict_test_set(context, predictor, raw, part, scratch)
    print(f"{context.name}: {rows or f'{total - len(errors)} pictures,'} in {out}")
    for line in errors:  # all of them: which pictures lack an answer matters to the user
        print(f"{context.name}: {line}", file=sys.stderr)
    if errors:
        raise DataError(
            f"{len(errors)} of {total} pictures cannot be read, and are left out of {out}",
            found="what stands above, a line each",
            fix="correct or remove these files, and run it again",
        )


def _check_out(out: Path, *, masks: bool, is_submission: bool) -> None:
    """Refuse what results can't be written to, before anything is loaded."""
    suffixes = _SUBMISSION_SUFFIXES if is_submission else TABLE_SUFFIXES
    if not masks:
        if not out.name.endswith(suffixes):
            raise ParamsError(
                "the kind of table to write is not known",
                found=f"--out {out}",
                expected=f"a name that ends in {', '.join(suffixes)}",
                fix=f"write --out {out}{suffixes[0]}, say",
            )
        if out.is_dir():
            raise ParamsError("a folder has this name", file=out, fix="name another file")
        return
    if out.name.endswith(TABLE_SUFFIXES):
        raise ParamsError(
            "masks are written into a folder",
            found=f"--out {out}",
            expected="a new folder",
            fix=f"write --out {out.name.split('.')[0]}, say",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ParamsError(
            "there is something already",
            file=out,
            expected="a new or empty folder",
            fix="name another folder, or remove this one",
        )
    if os.path.ismount(out.resolve()) or (out.is_symlink() and not out.exists()):
        raise ParamsError(
            "this folder can't be replaced by that of the masks",
            file=out,
            found="the root of a disk" if out.exists() else "a link that leads nowhere",
            expected="a new or empty folder",
            fix=f"write --out {out / 'masks'}, say" if out.exists() else "name another folder",
        )


def check_place(context: Context, out: Path) -> None:
    """Refuse to write where Darkroom does, also where a link leads there, or out of there."""
    root = Path(os.path.normpath(context.paths.root.absolute()))
    plain = Path(os.path.normpath(out.absolute()))
    places = (plain, out.parent.resolve() / out.name, out.resolve())

    def is_below(folder: Path) -> bool:
        return any(p.is_relative_to(f) for p in places for f in (folder, folder.resolve()))

    folders = [name for name in _OF_STAGES if is_below(root / name)]
    facts = out.with_name(f"{out.name.removesuffix('.gz').removesuffix('.csv')}.json")
    what = f"what stages write stands in {folders[0]}" if folders else ""
    if not what and is_below(root / "submissions") and out.exists() and facts.exists():
        what = "this is the submission that a stage wrote"
    if not what and is_below(root / "submissions/history.csv"):
        what = "this is the history of submissions"
    if what:
        raise ParamsError(
            what,
            found=f"--out {out}",
            expected=f"a place outside of {', '.join(_OF_STAGES)}",
            fix="name another file or folder",
        )


def _check_raw(raw: Path, out: Path) -> None:
    """Refuse raw files that lie in no folder, and a result that would replace one of them."""
    if not raw.is_dir():
        raise DataError(
            "it is no folder",
            file=raw,
            expected="a folder of raw files, as data.source has them",
            fix="name the folder that it lies in",
        )
    if out.exists() and out.resolve().is_relative_to(raw.resolve()):
        raise ParamsError(
            "the result would replace a raw file",
            found=f"--out {out}",
            expected=f"a file outside of {raw}, or a new one",
            fix="name another file, or remove this one",
        )


def load_predictor(context: Context, fold: Fold | None, *, needs_card: bool) -> Predictor:
    """Return the predictor of a section, or of a blend."""
    paths, stage = context.paths, "evaluate" if context.blend is None else "blend"
    folds = context.folds if fold is None else (fold,)
    if not paths.decision.is_file():
        raise ArtifactError(ABSENT, file=paths.decision, fix=_rerun(context, stage))
    card = read_card(paths.card) if needs_card or paths.card.is_file() else None
    beside = Surroundings(context.name, paths, context.section, folds, card)
    if context.blend is None:
        return load_folders(_folders(context, folds), beside)
    members = [
        load_folders(
            _folders(member, folds),
            Surroundings(member.name, member.paths, member.section, folds, card),
            decision=Decision(),  # the blend's counts, and its temperature
        )
        for member in context.members
    ]
    mixes = read_mixes(paths.mixes, fix=_rerun(context, stage))
    labels = max(1, len(members[0].infos[0]["targets"]))
    decision = read_decision(paths.decision, context.name, members[0].task, labels)
    return blend_predictors(members, mixes, decision, beside)


def _folders(context: Context, folds: Sequence[Fold]) -> list[Path]:
    return fold_folders(context.paths.model(0).parent, folds)


def _rerun(context: Context, stage: str) -> str:
    return f"run `dvc repro {context.paths.dvc_stage(stage)}` first"


def _predict_pictures(
    name: str, predictor: Predictor, images: Path, part: Path, scratch: Path, *, overlay: bool
) -> tuple[int, list[str]]:
    """Return the number of pictures, and a line for each that cannot be read."""
    pictures, others, errors = find_pictures(images, scratch)
    if others:
        few = f"{len(others)}, such as {one_line(others[0])}"
        print(f"{name}: files that are no pictures, and are left out: {few}", file=sys.stderr)
    total = len(pictures) + len(errors)
    _announce(name, total, predictor)
    with tqdm(total=total, desc=f"predict {name}", unit="img", disable=None) as bar:
        bar.update(len(errors))
        errors += predict_pictures(predictor, pictures, part, bar.update, overlay=overlay)
    return total, errors


def _announce(name: str, pictures: int, predictor: Predictor) -> None:
    """Say what begins: where no terminal shows a bar, it may be hours to the next line."""
    networks = sum(len(each.networks) for each in (predictor, *predictor.others))
    device = choose_device(predictor.choice.accelerator).type
    words = f"{pictures} pictures, {networks} network{'s' if networks > 1 else ''} on {device}"
    print(f"{name}: {words}", file=sys.stderr, flush=True)


def _predict_test_set(
    context: Context, predictor: Predictor, raw: Path, part: Path, scratch: Path
) -> str:
    """Return how many rows were written."""
    require_all_folds(context, predictor)
    assert predictor.beside is not None
    card = predictor.beside.card
    assert card is not None
    archives = Archives(raw, scratch)
    test = read_test_set(archives, context.section.data, card, predictor.preparations)
    _announce(context.name, len(test.ids), predictor)
    rows = write_test_set(predictor, test, card, part)
    return f"{rows} rows of {len(test.ids)} test images"


def require_all_folds(context: Context, predictor: Predictor) -> None:
    """Refuse a decision of other networks, or of more, than those that predict a test set."""
    numbered = {
        info["fold"]: info["weights"]
        for info in predictor.infos
        if isinstance(info.get("fold"), int)
    }
    networks = tuple(numbered[fold] for fold in sorted(numbered))
    if len(predictor.networks) < len(context.folds):
        raise ArtifactError(
            "the decision is that of all folds, and fewer predict here",
            file=context.paths.decision,
            found=", ".join(f"fold {fold}" for fold in numbered) or "fold all",
            expected=", ".join(f"fold {fold}" for fold in context.folds),
            fix="leave --fold out",
        )
    if context.blend is None and predictor.decision.networks != networks:
        raise ArtifactError(
            "it was chosen on the predictions of other networks than those that predict here",
            file=context.paths.decision,
            fix=f"run `dvc repro evaluate@{context.name}`, or predict with all folds of {PARAMS}",
        )
