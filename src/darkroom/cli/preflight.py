"""What a submission is before Kaggle sees it: checked, and made from what is committed."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from darkroom.cli import check, provenance
from darkroom.cli.provenance import Commit
from darkroom.errors import ArtifactError, ParamsError
from darkroom.params import file as paramfile
from darkroom.params.data import SAMPLE, Data
from darkroom.project.paths import PARAMS, Layout
from darkroom.remote.kaggle.responses import MAX_SCORE
from darkroom.stages._context import Context, require
from darkroom.submission.writer import card_path

_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Candidate:
    """A sound file, and where it comes from.

    Attributes:
        competition: Kaggle's name of it.
        sections: Those of params.yaml that are of it.
        paths: Of the project.
        rows: Without the header.
        size: Of the file, bytes.
        sha256: Of the file.
        fingerprint: Of what predicted it.
        commit: Git's; None without one.
        metric: What the local score measures.
        local: The score on the validation images; None if it may be that of other models.
    """

    competition: str
    sections: tuple[str, ...]
    paths: Layout
    rows: int
    size: int
    sha256: str
    fingerprint: str
    commit: Commit | None
    metric: str
    local: float | None


def read(context: Context, *, uncommitted: bool) -> Candidate:
    """Return a competition's submission, after every check that needs no server, quick ones first.

    Args:
        context: The competition.
        uncommitted: Whether the file may be another than the committed parameters make.

    Raises:
        ParamsError: It has no competition on Kaggle, or something is not committed.
        ArtifactError: The file is at fault, or not what the parameters make.
    """
    paths = context.paths
    competition = _competition(context.name, context.section.data)
    commit = provenance.commit(paths.root)
    if not uncommitted:
        _refuse_uncommitted(commit, paths.root)
    made = _with_facts(competition, paths, commit)  # before the check: of what was checked
    check.run(context)
    outdated = _outdated(paths, uncommitted=uncommitted)
    if outdated and not uncommitted:
        raise _refusal(paths, outdated)
    return replace(made, local=None) if outdated else made


def _hex(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"{str(value)[:80]!r}: not 64 hexadecimal digits")
    return value


def _score(value: object) -> float:
    score = float(value) if isinstance(value, int | float) else math.nan
    if not abs(score) <= MAX_SCORE:
        raise ValueError(f"{str(value)[:80]!r}: no score")
    return score


def _competition(name: str, data: Data) -> str:
    if data.kaggle is None or "/" in data.kaggle:
        kind = ", a data set" if data.kaggle else ""
        raise ParamsError(
            "there is no competition to submit to",
            file=PARAMS,
            found=f"{name}.data.kaggle: {data.kaggle or 'null'}{kind}",
            expected="the name of a Kaggle competition, as in its address",
        )
    if data.source == SAMPLE:
        raise ParamsError(
            "the submission is about the drawn sample, which Kaggle does not know",
            file=PARAMS,
            found=f"{name}.data.source: sample",
            expected="`kaggle`, or the folder that holds the raw files",
            fix=f"edit it, then run `dvc repro predict@{name}`",
        )
    return data.kaggle


def _refuse_uncommitted(commit: Commit | None, root: Path) -> None:
    if commit is None:
        found, fix = provenance.lacking(root)
        raise ParamsError(
            "nothing would tell later what the submission was made from",
            found=found,
            fix=f"{fix}, or add --uncommitted",
        )
    if commit.changed:
        raise ParamsError(
            "what the submission is made from is not committed",
            details=commit.changed,
            fix="commit these files, or add --uncommitted",
        )


def _outdated(paths: Layout, *, uncommitted: bool) -> Sequence[str]:
    """Return the stages, evaluate among them, that would make something else now."""
    stage = f"predict@{paths.name}"
    try:
        return provenance.outdated(paths.root, stage)
    except ArtifactError:
        if not uncommitted:
            raise
        return [stage]  # for all that is known


def _refusal(paths: Layout, stages: Sequence[str]) -> ArtifactError:
    return ArtifactError(
        "it is not what the parameters make: these stages have changed since",
        file=paths.submission,
        details=stages,
        fix=f"run `dvc repro predict@{paths.name}`, or add --uncommitted",
    )


def _with_facts(competition: str, paths: Layout, commit: Commit | None) -> Candidate:
    every = paramfile.read(Path(PARAMS)).sections
    sections = tuple(name for name, each in every.items() if each.data.kaggle == competition)
    facts_file = require(card_path(paths.submission), "predict", paths.name)
    metrics_file = require(paths.metrics, "evaluate", paths.name)
    file, stage = facts_file, "predict"
    try:
        facts = json.loads(file.read_bytes())
        rows, size = int(facts["rows"]), int(facts["bytes"])
        sha256, fingerprint = (_hex(facts[key]) for key in ("sha256", "fingerprint"))
        file, stage = metrics_file, "evaluate"
        metric, local = next(iter(json.loads(file.read_bytes())["validation"].items()))
        score = None if local is None else _score(local)
    except _DAMAGE as error:
        raise ArtifactError(
            "it is damaged",
            file=file,
            found=repr(error),
            fix=f"run `dvc repro -sf {stage}@{paths.name}`",
        ) from error
    return Candidate(
        competition=competition,
        sections=sections,
        paths=paths,
        rows=rows,
        size=size,
        sha256=sha256,
        fingerprint=fingerprint,
        commit=commit,
        metric=str(metric),
        local=score,
    )
