"""dvc.yaml held against the code: stages, code dependencies, parameters, and paths."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.cli.parser import STAGES
from darkroom.params import file as paramfile
from darkroom.params.competition import Params
from darkroom.project import fingerprint
from darkroom.project.paths import CHECKED, OWN_METRICS, PARAMS, Layout
from darkroom.stages._evaluation import CURVES
from darkroom.submission.writer import facts_path
from tests.support import dvc_deps

ROOT = Path(__file__).parents[2]
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
SOURCE = ROOT / "src/darkroom"
SECTIONS = {
    "data": "data.py",
    "split": "data.py",
    "preprocess": "preprocess.py",
    "model": "model.py",
    "train": "train.py",
    "predict": "evaluate.py",
    "evaluate": "evaluate.py",
}
"""The file of darkroom.params that declares each section."""
NAME, FOLD = "${item.name}", "${item.fold}"
GIVEN, RECEIVER = "${item.pair.from}", "${item.pair.to}"
BLEND, FIRST = "${item.blend.name}", "${item.blend.members[0]}"
BY_NAME = {"name": "${competitions}"}
BY_FOLD: dict[str, Any] = BY_NAME | {"fold": "${folds}"}


def _paths(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def _outs(stage: dict[str, Any]) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in _paths(stage.get(kind, []))]


def _params(stage: dict[str, Any]) -> list[str]:
    """Return the parameters of a stage; those of a blend's first member as a competition's."""
    return [param.replace(FIRST, NAME) for param in stage.get("params", [])]


def _deps(stage: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the data that a stage depends on, and the code."""
    deps = _paths(stage["deps"])
    code = [path for path in deps if path.startswith("src/")]
    return [path for path in deps if path not in code], code


@pytest.fixture(params=STAGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(name: str) -> dict[str, Any]:
    found: dict[str, Any] = PIPELINE["stages"][name]
    return found


def test_stages_are_the_modules_and_the_verbs() -> None:
    assert list(PIPELINE["stages"]) == list(STAGES)
    for name in STAGES:
        assert (ROOT / "src/darkroom/stages" / f"{name}.py").is_file()


def test_each_stage_is_described_and_runs_its_verb_over_the_lists(
    name: str, stage: dict[str, Any]
) -> None:
    assert stage["desc"].endswith(".")
    expected: dict[str, tuple[dict[str, Any] | None, str]] = {
        "params": (None, "params"),
        "fold": (BY_FOLD, "fold ${item}"),
        "train": (BY_FOLD, "train ${item}"),
        "predict": (BY_FOLD | {"part": ["valid", "test"]}, "predict ${item}"),
        # Another key of a pair would stand in ${item} as it is.
        "transfer": (
            {"pair": "${transfers}", "fold": "${folds}"},
            'transfer --stage "$DVC_STAGE"',
        ),
        "pseudo": (
            {"pair": "${pseudo_labels}", "fold": "${folds}"},
            'pseudo --stage "$DVC_STAGE"',
        ),
        "blend": ({"blend": "${blends}"}, 'blend --stage "$DVC_STAGE"'),
    }
    matrix, arguments = expected.get(name, (BY_NAME, f"{name} ${{item}}"))
    assert stage.get("matrix") == matrix
    assert stage["cmd"] == f"darkroom {arguments}"


def test_every_stage_waits_for_the_check_of_params_yaml(name: str, stage: dict[str, Any]) -> None:
    assert (CHECKED.as_posix() in stage["deps"]) == (name != "params")


def test_the_import_closure_lies_under_the_code_entries(name: str, stage: dict[str, Any]) -> None:
    _, code = _deps(stage)
    for file in fingerprint.import_closure(f"darkroom.stages.{name}"):
        assert any(file.is_relative_to(ROOT / entry) for entry in code), file


def test_no_code_entry_is_idle(name: str, stage: dict[str, Any]) -> None:
    closure = fingerprint.import_closure(f"darkroom.stages.{name}")
    _, code = _deps(stage)
    for entry in code:
        assert any(file.is_relative_to(ROOT / entry) for file in closure), entry
    assert len(set(code)) == len(code)


def test_no_code_entry_has_a_wing_that_is_idle(name: str, stage: dict[str, Any]) -> None:
    """An edit of what only draws would rerun what fetches."""
    closure = fingerprint.import_closure(f"darkroom.stages.{name}")
    _, code = _deps(stage)
    for entry in code:
        wings = (file.parent for file in (ROOT / entry).rglob("*.py") if fingerprint.has_code(file))
        for wing in wings:
            assert any(file.is_relative_to(wing) for file in closure), wing


def test_dvc_yaml_is_as_make_deps_writes_it() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    assert dvc_deps.rewritten(text) == text, "run: make deps"


def test_data_dependencies_are_made_by_earlier_stages(name: str, stage: dict[str, Any]) -> None:
    earlier = list(STAGES)[: list(STAGES).index(name)]
    outs = [out for other in earlier for out in _outs(PIPELINE["stages"][other])]
    made = [out.replace("${item.part}", part) for out in outs for part in ("valid", "test")]
    data, _ = _deps(stage)
    for path in (each.replace(FIRST, NAME).replace(RECEIVER, NAME) for each in data):
        # A run's folder, or somebody's file; what another section has predicted.
        if path in (GIVEN, PARAMS, str(OWN_METRICS)) or path.startswith(f"{GIVEN}/"):
            continue
        assert any(out == path or out.startswith(f"{path}/") for out in made), path


def test_no_two_stages_write_the_same_path() -> None:
    outs = [out for stage in PIPELINE["stages"].values() for out in _outs(stage)]
    for out in outs:
        assert [o for o in outs if o == out or o.startswith(f"{out}/")] == [out]


def test_paths_are_those_of_the_layout() -> None:
    paths, blend = Layout(NAME), Layout(BLEND, first=FIRST)
    history = (paths.reports / "history" / f"fold{FOLD}.csv").as_posix()
    model = (paths.model(0).parent / f"fold{FOLD}").as_posix()
    part = "${item.part}"
    predictions = (paths.predictions(part, 0).parent / f"fold{FOLD}.arrow").as_posix()
    outs = {name: sorted(_outs(stage)) for name, stage in PIPELINE["stages"].items()}
    held = {
        "predict": f"{NAME}={FOLD}={part}",
        "blend": BLEND,
        **{"train": f"{NAME}={FOLD}", "fold": f"{NAME}={FOLD}", "transfer": f"{RECEIVER}={FOLD}"},
        "pseudo": f"{RECEIVER}={FOLD}",
    }
    for name, out in outs.items():
        if name != "params":
            out.remove(Layout(held.get(name, NAME)).stamp(name).as_posix())
    start = f"fold{FOLD}"
    assert outs == {
        "params": [CHECKED.as_posix()],
        "fold": [(paths.start / start / "fold.json").as_posix()],
        "fetch": [str(paths.raw)],
        "index": [str(paths.index), str(paths.card), str(paths.class_names)],
        "split": [str(paths.split), str(paths.split_card)],
        "preprocess": [str(paths.processed)],
        "audit": [str(paths.audit), str(paths.contact_sheet)],
        "transfer": [(Layout(RECEIVER).start / start / "weights").as_posix()],
        "pseudo": [(Layout(RECEIVER).start / start / "pseudo").as_posix()],
        "train": [model, history],
        "evaluate": sorted(
            str(path)
            for path in (
                paths.metrics,
                paths.evaluation,
                paths.decision,
                paths.scores,
                *(paths.curves / f"{table}.csv" for table in CURVES),
                paths.evaluation_sheet,
            )
        ),
        "predict": [predictions],
        "blend": sorted(
            str(path)
            for path in (
                *(blend.all_predictions, blend.blend, blend.metrics, blend.decision, blend.scores),
                *(blend.curves / f"{table}.csv" for table in CURVES),
                *(blend.evaluation_sheet, blend.test_metrics),
                *(blend.evaluation, blend.test_evaluation),
                *(blend.submission, facts_path(blend.submission)),
            )
        ),
        "submission": sorted(
            str(path)
            for path in (
                *(paths.submission, facts_path(paths.submission)),
                *(paths.test_metrics, paths.test_evaluation),
            )
        ),
    }
    assert paths.history(3).as_posix() == history.replace(FOLD, "3")
    assert paths.fold_counts(3) == paths.start / "fold3/fold.json"
    assert paths.first_weights(3) == paths.start / "fold3/weights"
    assert paths.stamp("train", 3) == Layout(f"{NAME}=3").stamp("train")
    assert paths.stamp("predict", 3, "test") == Layout(f"{NAME}=3=test").stamp("predict")
    assert paths.predictions(part, 3).as_posix() == predictions.replace(FOLD, "3")


def test_params_are_keys_of_the_schema(stage: dict[str, Any]) -> None:
    sections = Params.model_json_schema()["$defs"]["Competition"]["properties"]
    for param in _params(stage):
        if param.startswith(f"{NAME}."):
            assert param.removeprefix(f"{NAME}.") in sections
        else:
            assert param in Params.model_fields


def test_every_section_is_read_by_some_stage() -> None:
    read = {param for stage in PIPELINE["stages"].values() for param in stage.get("params", [])}
    sections = Params.model_json_schema()["$defs"]["Competition"]["properties"]
    assert {f"{NAME}.{section}" for section in sections} <= read
    assert {"seed", "folds"} <= read


def test_a_stage_declares_every_section_that_its_module_reads(
    name: str, stage: dict[str, Any]
) -> None:
    source = (ROOT / "src/darkroom/stages" / f"{name}.py").read_text()
    sections = Params.model_json_schema()["$defs"]["Competition"]["properties"]
    for section in sections:
        reads = f"section.{section}" in source
        assert reads == (f"{NAME}.{section}" in _params(stage)), section
    for key in ("seed", "folds"):
        reads = any(f"context.{word}{key}" in source for word in ("", "validated_")) or (
            key == "seed" and "fold_seed(context" in source
        )
        assert reads == (key in _params(stage)), key


def _entries_hold(name: str, file: str) -> bool:
    """Return whether a stage's code entries cover a file of src/darkroom."""
    _, code = _deps(PIPELINE["stages"][name])
    return any((SOURCE / file).is_relative_to(ROOT / entry) for entry in code)


def test_a_stage_depends_on_the_sections_that_it_declares_alone(
    name: str, stage: dict[str, Any]
) -> None:
    """Beside these, on what all sections share, and on the names of networks."""
    if name == "params":
        return  # it reads them all
    declared = {param.removeprefix(f"{NAME}.") for param in _params(stage)}
    expected = {file for section, file in SECTIONS.items() if section in declared}
    found = {
        file.name
        for file in (SOURCE / "params").glob("*.py")
        if _entries_hold(name, f"params/{file.name}")
    }
    assert found - {"section.py", "networks.py"} == expected


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("params/train.py", {"params", "train"}),
        ("params/preprocess.py", {"params", "preprocess", "train"}),  # model.json names it
        ("params/file.py", {"params"}),
        ("params/rules/lists.py", {"params"}),
        ("prediction/networks/tta.py", {"predict"}),
        ("prediction/networks/tiles.py", {"predict"}),
        ("index/audit/contact_sheet.py", {"audit"}),
        ("prediction/deciding.py", {"evaluate", "submission", "blend"}),
    ],
)
def test_the_stages_that_an_edit_of_a_file_touches(file: str, stages: set[str]) -> None:
    assert (SOURCE / file).is_file()
    assert {name for name in STAGES if _entries_hold(name, file)} == stages


def test_dvc_reads_it_and_makes_a_stage_for_each_competition_and_fold() -> None:
    from dvc.repo import Repo

    params = paramfile.read_params(ROOT / "params.yaml")
    assert (params.transfers, params.blends, params.pseudo_labels) == ([], [], [])
    folds = [f"-{fold}" for fold in params.folds]
    both = [f"{fold}-{part}" for fold in folds for part in ("valid", "test")]
    runs = {"fold": folds, "train": folds, "predict": both}
    expected = {
        f"{stage}@{name}{run}"
        for stage in STAGES
        if stage not in ("transfer", "pseudo", "blend", "params")
        for name in params.competitions
        for run in runs.get(stage, [""])
    } | {"params"}
    with Repo(str(ROOT)) as repo:
        assert {stage.addressing for stage in repo.index.stages} == expected


def test_the_registry_has_the_models_that_train_writes() -> None:
    artifacts = PIPELINE["artifacts"]
    params = yaml.safe_load((ROOT / PARAMS).read_text())
    assert sorted(artifacts) == sorted(params["competitions"])
    for name, artifact in artifacts.items():
        assert artifact["path"] == Layout(name).model(0).as_posix()
        assert artifact["type"] == "model"
