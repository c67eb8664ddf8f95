"""Where a result comes from: commit, data, models, libraries, decision, submission."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from darkroom.cli.preflight.provenance import explain_no_commit, outdated_stages, read_commit
from darkroom.cli.report import page
from darkroom.cli.report.evidence import Evidence
from darkroom.cli.report.page import Cell, Finding, Row, Section, number
from darkroom.errors import ArtifactError
from darkroom.project.checked_json import read_json
from darkroom.project.fingerprint import libraries
from darkroom.project.paths import Layout

SHORT = 12  # digits of a digest that tell it apart


def provenance_section(evidence: Evidence) -> Section:
    """Return what a run was made from, and how to make it again."""
    context = evidence.context
    paths, findings = context.paths, []
    code, outdated = list(_code_rows()), _outdated(paths)
    if outdated:
        text = f"DVC would run again: {page.first_names(outdated, 4)}: these results are older."
        findings.append(Finding("bad", text, "provenance"))
    if Path(".dvc").is_dir():
        code.append(("DVC would run again", Cell(", ".join(outdated) or "nothing")))
    blocks, tables = [], [page.table("Code", ("", ""), code, kind="wide")]
    models = list(_model_rows(evidence))
    if models:
        head = ("", "network", "epoch", "trained on", "weights", "fingerprint")
        blocks.append(page.table("Models", head, models))
    data = [("index", _digest(evidence.index.sha256)), *_raw_rows(paths.inputs.raw)]
    tables.append(page.table("Data", ("", "sha256 or size"), data, kind="wide"))
    tables.append(page.table("Decision", ("", ""), list(_decision_rows(evidence)), kind="wide"))
    if submission := _read(paths.submission_facts):
        rows = [(key.replace("_", " "), Cell(_shown(submission[key]))) for key in submission]
        tables.append(page.table("Submission", ("", ""), rows, kind="wide"))
    versions = [(name, Cell(str(version))) for name, version in _libraries(evidence).items()]
    versions_table = page.table("Libraries", ("", "version"), versions)
    blocks += [page.group(tables), page.details("Versions of libraries", [versions_table])]
    return Section("provenance", "Provenance", "", blocks, findings)


def _libraries(evidence: Evidence) -> Mapping[str, Any]:
    """Return the versions that the first network was trained with; where it is gone, those here."""
    context = evidence.context
    first = (context.members or (context,))[0]
    info = _read(first.paths.model(context.folds[0]) / "model.json")
    versions: Mapping[str, Any] = info.get("libraries") or libraries()
    return versions


def _code_rows() -> Iterator[Row]:
    try:
        commit = read_commit(Path())
    except ArtifactError as error:
        yield "commit", Cell(str(error))
        return
    if commit is None:
        why, _ = explain_no_commit(Path())
        yield "commit", Cell(f"none: {why}")
        return
    yield "commit", Cell(commit.sha)
    yield "differs from it", Cell(", ".join(commit.changed) or "nothing")
    if not commit.changed:
        yield "to make it again", Cell(f"git checkout {commit.sha[:SHORT]}; dvc repro")


def _outdated(paths: Layout) -> list[str]:
    """Return the stages that DVC would run again; none outside of a project of DVC."""
    if not Path(".dvc").is_dir():
        return []
    try:
        return outdated_stages(Path(), paths.dvc_stage("submission"))
    except ArtifactError:
        return []


def _model_rows(evidence: Evidence) -> Iterator[Row]:
    context = evidence.context
    for member in context.members or (context,):
        for fold in context.folds:
            info = _read(member.paths.model(fold) / "model.json")
            if not info:
                continue
            metrics = info.get("metrics", {})
            yield (
                f"{member.name}, fold {fold}" if context.members else f"fold {fold}",
                Cell(str(info.get("model", {}).get("name", ""))),
                number(metrics.get("epoch")),
                Cell(str(info.get("trained_on", ""))),
                _digest(info.get("weights", "")),
                _digest(info.get("fingerprint", "")),
            )


def _raw_rows(raw: Path) -> Iterator[Row]:
    manifest = raw / "manifest.json"
    files = _read(manifest).get("files", []) if manifest.is_file() else []
    for each in files[:20]:
        yield each["name"], Cell(f"{each['bytes']:,} bytes, {each['sha256'][:SHORT]}…")
    if len(files) > 20:
        yield "and more", Cell(f"{len(files) - 20:,} files")


def _decision_rows(evidence: Evidence) -> Iterator[Row]:
    for key, value in vars(evidence.decision).items():
        if key != "networks":
            yield key.replace("_", " "), Cell(_shown(value))


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return page.first_names([_shown(each) for each in value], 40) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return (
        {None: "none", True: "yes", False: "no"}[value]
        if value is None or isinstance(value, bool)
        else str(value)
    )


def _digest(text: object) -> Cell:
    digest = str(text)
    return Cell(f"{digest[:SHORT]}…" if len(digest) > SHORT else digest)


def _read(path: Path) -> Mapping[str, Any]:
    """Return the values of a JSON file; none where there is no such file, or it is damaged."""
    if not path.is_file():
        return {}
    try:
        if path.name == "manifest.json":
            values = json.loads(path.read_bytes())
            return values if isinstance(values, dict) else {}
        return {k: v for k, v in read_json(path, fix="").items() if k != "checksum"}
    except (ArtifactError, ValueError):
        return {}
