"""submit --notebook: data set and notebook are pushed by the real client, and the run submitted."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from darkroom.cli.main import main
from darkroom.deploy import bundle
from darkroom.remote.kaggle import notebooks
from darkroom.submission.upload import notebook as upload
from tests.cli.submit.rig import FIRST, HISTORY, RunSubmit, rows
from tests.support import tiny
from tests.support.loopback import USERNAME, Dataset, Kaggle, NoAnswer, Notebook, Status
from tests.support.uploads import SLUG

REF = f"{USERNAME}/darkroom-tiny"
LOG = json.dumps(
    [
        {"stream_name": "stdout", "time": 1.5, "data": "tiny: 5 pictures\n\n"},
        {"stream_name": "stderr", "time": 2.5, "data": "RuntimeError: no "},
        {"stream_name": "stderr", "time": 2.5, "data": "memory\n"},
    ]
)


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add no wheels but our own: no package index is asked."""
    monkeypatch.setattr(bundle, "fetch_wheels", lambda *_: [])


def counts(kaggle: Kaggle) -> tuple[int, int, int]:
    """Return how many versions of the data set and the notebook, and submissions Kaggle has."""
    dataset = kaggle.datasets.get(REF)
    notebook = kaggle.notebooks.get(REF)
    return (
        dataset.version if dataset else 0,
        len(notebook.pushed) if notebook else 0,
        len(kaggle.competitions[SLUG].submissions),
    )


def test_all_is_pushed_and_its_run_submitted(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.notebooks[REF] = Notebook(running=3)
    kaggle.competitions[SLUG].pending = 2
    code, out, err = run_submit("--notebook", "--wait")
    assert (code, err.splitlines()) == (0, ["waiting for the score; Ctrl-C loses nothing"])
    assert f"pushing the data set {REF}" in out
    assert f"version 1 of the notebook runs: https://www.kaggle.com/code/{REF}" in out
    assert f"tiny: submitted: reference {FIRST}" in out
    assert "tiny: scored: public 0.99512, private 0.99487" in out
    assert "rows" not in out
    assert counts(kaggle) == (1, 1, 1)
    (pushed,) = kaggle.notebooks[REF].pushed
    assert pushed["slug"] == REF
    assert pushed["enableInternet"] is False
    assert pushed["datasetDataSources"] == [REF]
    assert pushed["competitionDataSources"] == [SLUG]
    cells = json.loads(pushed["text"])["cells"]
    assert "darkroom.cli.main" in cells[-1]["source"]
    names = sorted(path.name for path in Path("bundles/tiny/dataset").iterdir())
    names.remove("dataset-metadata.json")
    assert kaggle.datasets[REF].names == names
    (submission,) = kaggle.competitions[SLUG].submissions
    assert submission.file_name == "submission.csv"
    (row,) = rows()
    assert submission.description == f"darkroom {row.sha256[:12]}: first"
    assert (row.name, row.reference, row.message) == ("tiny", FIRST, "first")
    assert (row.status, row.public, row.fingerprint) == ("complete", 0.99512, "")
    assert row.local is not None


def test_the_same_models_are_submitted_once_and_others_are_a_version(
    kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    kaggle.datasets[REF] = Dataset(version=4, processing=-1)
    assert run_submit("--notebook")[0] == 0
    assert counts(kaggle) == (5, 1, 1)
    code, out, _ = run_submit("--notebook")
    assert code == 0
    assert "nothing was sent" in out
    assert counts(kaggle) == (5, 1, 1)
    tiny.edit(Path(), lambda params: params["tiny"]["predict"].update(batch_size=3))
    code, out, _ = run_submit("--notebook", "--uncommitted")
    assert code == 0
    assert counts(kaggle) == (6, 2, 2)
    assert len(rows()) == 2


def test_a_dry_run_writes_the_bundle_and_sends_nothing(
    kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    code, out, _ = run_submit("--notebook", "--dry-run")
    assert code == 0
    assert "dry run: nothing was sent" in out
    assert Path("bundles/tiny/kernel/notebook.ipynb").is_file()
    assert counts(kaggle) == (0, 0, 0)


@pytest.mark.parametrize("command", ["bundle", "submit"])
def test_no_other_run_replaces_a_bundle_that_is_uploaded(
    kaggle: Kaggle,
    run_submit: RunSubmit,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    push = notebooks.push_dataset
    other = {
        "bundle": ["--user", USERNAME],
        "submit": ["--notebook", "--uncommitted", "-m", "other"],
    }
    codes = []

    def push_beside_another_run(*arguments: Any, **options: Any) -> None:
        tiny.edit(Path(), lambda params: params["tiny"]["predict"].update(batch_size=3))
        codes.append(main([command, "tiny", *other[command]]))
        push(*arguments, **options)

    monkeypatch.setattr(notebooks, "push_dataset", push_beside_another_run)
    old = Path("params.yaml").read_text()
    code, _, err = run_submit("--notebook")
    assert (code, codes) == (0, [5])
    assert "bundles/tiny: another run writes or uploads this bundle\n  to do: wait" in err
    assert Path("bundles/tiny/dataset/params.yaml").read_text() == old
    assert main(["bundle", "tiny", "--user", USERNAME]) == 0


def test_a_failed_run_shows_the_end_of_its_log(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    failed = Notebook(running=1, state="ERROR", message="Your notebook failed", log=LOG)
    kaggle.notebooks[REF] = failed
    code, _, err = run_submit("--notebook")
    assert code == 4
    assert f"{REF}: the notebook failed on Kaggle" in err
    assert "  tiny: 5 pictures\n  RuntimeError: no memory\n" in err
    assert "found: Your notebook failed" in err
    assert "nothing was submitted" in err
    assert counts(kaggle) == (1, 1, 0)
    assert not HISTORY.exists()
    failed.state = "COMPLETE"
    assert run_submit("--notebook")[0] == 0  # pushes the notebook again, and not its data set
    assert counts(kaggle) == (1, 2, 1)
    (call,) = kaggle.requests_of("CreateCodeSubmission")
    assert call.body["kernelVersion"] == 2


def test_a_run_that_takes_too_long_is_waited_for_again(
    kaggle: Kaggle, run_submit: RunSubmit, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    monkeypatch.setattr(upload, "RUN_PATIENCE_S", 60.0)
    kaggle.notebooks[REF] = Notebook(running=8)
    code, _, err = run_submit("--notebook")
    assert code == 4
    assert "the notebook has not ended after" in err
    assert "it goes on waiting, and pushes nothing anew" in err
    assert sum(slept) >= 60
    assert counts(kaggle) == (1, 1, 0)
    assert run_submit("--notebook")[0] == 0
    assert counts(kaggle) == (1, 1, 1)


OLD: list[dict[str, object]] = [{"text": "the version before"}]


@pytest.mark.parametrize("old_state", ["COMPLETE", "ERROR"])
def test_the_run_of_an_older_version_does_not_answer_for_a_new_one(
    kaggle: Kaggle, run_submit: RunSubmit, old_state: Literal["COMPLETE", "ERROR"]
) -> None:
    kaggle.notebooks[REF] = Notebook([*OLD], running=3, lag=2, old_state=old_state)
    code, out, err = run_submit("--notebook")
    assert (code, err) == (0, "")
    assert "version 2 of the notebook runs" in out
    assert out.count("Kaggle still shows an earlier run; waiting for this one\n") == 1
    assert len(kaggle.requests_of("GetKernelSessionStatus")) == 1 + 2 + 3 + 1
    (call,) = kaggle.requests_of("CreateCodeSubmission")
    assert call.body["kernelVersion"] == 2
    assert counts(kaggle) == (1, 2, 1)


@pytest.mark.parametrize("old_state", ["COMPLETE", "ERROR"])
def test_an_older_run_still_under_way_is_not_the_begin_of_a_new_one(
    kaggle: Kaggle, run_submit: RunSubmit, old_state: Literal["COMPLETE", "ERROR"]
) -> None:
    """The answer to a push was lost, say, and the next try pushed another version."""
    notebook = Notebook([*OLD], running=3, lag=2, old_state=old_state, old_running=4)
    kaggle.notebooks[REF] = notebook
    code, _, err = run_submit("--notebook")
    assert (code, err) == (0, "")
    assert len(kaggle.requests_of("GetKernelSessionStatus")) == 4 + 2 + 3 + 1
    (call,) = kaggle.requests_of("CreateCodeSubmission")
    assert call.body["kernelVersion"] == 2
    assert counts(kaggle) == (1, 2, 1)


def test_an_end_after_an_older_run_may_be_of_the_new_one(
    kaggle: Kaggle, run_submit: RunSubmit, slept: list[float]
) -> None:
    kaggle.notebooks[REF] = Notebook([*OLD], old_running=4)
    assert run_submit("--notebook")[0] == 0
    assert sum(slept) >= upload.START_PATIENCE_S
    assert counts(kaggle) == (1, 2, 1)


@pytest.mark.parametrize(("state", "code"), [("COMPLETE", 0), ("ERROR", 4)])
def test_a_run_too_short_to_be_seen_ends_the_waiting(
    kaggle: Kaggle,
    run_submit: RunSubmit,
    slept: list[float],
    state: Literal["COMPLETE", "ERROR"],
    code: int,
) -> None:
    kaggle.notebooks[REF] = Notebook([*OLD], state=state, message="Too little memory")
    end, _, err = run_submit("--notebook")
    assert end == code
    assert ("found: Too little memory" in err) is (state == "ERROR")
    assert upload.START_PATIENCE_S <= sum(slept) < 2 * upload.START_PATIENCE_S
    assert counts(kaggle) == (1, 2, int(state == "COMPLETE"))


def test_a_command_that_goes_on_knows_that_the_run_had_begun(
    kaggle: Kaggle, run_submit: RunSubmit, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    monkeypatch.setattr(upload, "RUN_PATIENCE_S", 10.0)
    kaggle.notebooks[REF] = Notebook([*OLD], running=20)
    assert run_submit("--notebook")[0] == 4
    kaggle.notebooks[REF].running = 0
    slept.clear()
    code, out, _ = run_submit("--notebook")
    assert code == 0
    assert "earlier run" not in out
    assert sum(slept) < 10
    assert counts(kaggle) == (1, 2, 1)


def test_a_quota_is_named(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    words = "Maximum weekly GPU quota of 30.00 hours reached."
    kaggle.notebooks[REF] = Notebook(refusal=words)
    code, _, err = run_submit("--notebook")
    assert code == 4
    assert f"{REF}: Kaggle refuses it\n  found: {words}" in err
    kaggle.notebooks[REF].refusal = ""
    kaggle.competitions[SLUG].allowed = 0
    code, _, err = run_submit("--notebook")
    assert code == 4
    assert "Your team has used its daily Submission allowance" in err
    assert counts(kaggle) == (1, 1, 0)
    kaggle.competitions[SLUG].allowed = 1
    assert run_submit("--notebook")[0] == 0
    assert counts(kaggle) == (1, 1, 1)


def test_a_data_set_that_fails_or_lags(
    kaggle: Kaggle, run_submit: RunSubmit, slept: list[float]
) -> None:
    kaggle.datasets[REF] = Dataset(version=1, state="FAILED", processing=2)
    code, _, err = run_submit("--notebook")
    assert code == 4
    assert "Kaggle could not unpack the data set" in err
    kaggle.datasets[REF].state = "READY"
    slept.clear()
    kaggle.datasets[REF].processing = 3
    assert run_submit("--notebook")[0] == 0
    assert counts(kaggle) == (3, 1, 1)
    assert slept


@pytest.mark.parametrize(
    "kind", ["StartBlobUpload", "CreateDataset", "SaveKernel", "GetKernelSessionStatus"]
)
def test_what_fails_for_a_moment_is_tried_again(
    kaggle: Kaggle, run_submit: RunSubmit, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # of Kaggle's client
    kaggle.play(kind, Status(503))
    assert run_submit("--notebook")[0] == 0
    assert counts(kaggle) == (1, 1, 1)


def test_a_data_set_never_lacks_a_file_that_did_not_arrive(
    kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    kaggle.play("upload", None, Status(400))
    code, _, err = run_submit("--notebook")
    assert code == 0
    assert "did not reach Kaggle; retry in" in err
    names = {path.name for path in Path("bundles/tiny/dataset").iterdir()}
    assert {*kaggle.datasets[REF].names} == names - {"dataset-metadata.json"}


def test_a_lost_answer_is_reconciled(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.play("CreateCodeSubmission", NoAnswer())
    code, out, _ = run_submit("--notebook")
    assert code == 0
    assert f"submitted: reference {FIRST}" in out
    assert counts(kaggle) == (1, 1, 1)


def test_models_out_of_date_are_refused(
    root: Path, run_submit: RunSubmit, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from darkroom.cli.preflight import provenance

    monkeypatch.setattr(provenance, "outdated_stages", lambda _, stage: [stage])
    code, _, err = run_submit("--notebook")
    assert code == 6
    assert "reports/tiny/decision.json: it is not what the parameters make" in err
    assert "run `dvc repro evaluate@tiny`, or add --uncommitted" in err
    assert counts(kaggle) == (0, 0, 0)
