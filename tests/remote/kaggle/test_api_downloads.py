"""Downloads through Kaggle's own client, with every fault, `--rounds` times each."""

import shutil
from pathlib import Path

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.download import RemoteFile, download
from darkroom.remote.kaggle import api
from darkroom.remote.retry import RetryPolicy, retry
from tests.support.download_scenarios import SCENARIOS, Scenario, archive
from tests.support.kaggle_client import SECRETS, SLUG, shorten_timeout
from tests.support.loopback import Competition, Kaggle

SIGNATURE = "X-Goog-Signature"  # of a signed address: no message may show it


def _fetch(name: str, folder: Path) -> Path:
    policy = RetryPolicy(sleep=lambda _: None)
    listed = retry(lambda: api.list_competition_files(SLUG), policy, what="the list of files")
    size = listed.get(name)
    remote = RemoteFile(name, api.competition_file_opener(SLUG, name), api.page_url(SLUG), size)
    return download(remote, folder, policy=policy)


def _serve(server: Kaggle, scenario: Scenario) -> None:
    body = archive(scenario.size)
    server.competitions[SLUG] = Competition(
        {"train.zip": body}, rules_accepted=scenario.rules_accepted
    )
    server.play("storage", *scenario.storage)
    for kind, faults in scenario.calls.items():
        server.play(kind, *faults)
    server.always("storage", *scenario.always)


def _play(
    scenario: Scenario,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> bytes | None:
    """Fetch once, compare words and requests with the scenario; return what has the file's name."""
    target, words = folder / scenario.name, ""
    with Kaggle() as server, monkeypatch.context() as patch:
        server.redirect_clients(patch, scenario.token)
        if scenario.is_silent:
            shorten_timeout(patch, "storage")
        _serve(server, scenario)
        if scenario.refusal:
            with pytest.raises(RemoteError) as caught:
                _fetch(scenario.name, folder)
            words = str(caught.value)
            assert [each for each in scenario.refusal if each not in words] == []
            assert caught.value.exit_code == 4
        else:
            assert _fetch(scenario.name, folder) == target
            assert sorted(path.name for path in folder.iterdir()) == [scenario.name]
        assert server.unused_faults() == []
        assert server.requests_of("outside") == []
        if scenario.starts is not None:
            assert tuple(r.range_start for r in server.requests_of("storage")) == scenario.starts
    out, err = capfd.readouterr()
    assert out == ""
    retries = [line for line in err.splitlines() if "; retry in " in line]
    assert len(retries) == len(scenario.says), err
    for each, line in zip(scenario.says, retries, strict=True):
        assert each in line
    assert not [secret for secret in (*SECRETS, SIGNATURE) if secret in words + err]
    return target.read_bytes() if target.exists() else None


def _fetch_after_refusal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch from a server without faults: it resumes from the partial file, if there is one."""
    part = folder / "train.zip.part"
    size = part.stat().st_size if part.exists() else None
    with Kaggle() as server, monkeypatch.context() as patch:
        server.redirect_clients(patch)
        _serve(server, Scenario())
        assert _fetch("train.zip", folder).read_bytes() == archive(Scenario().size)
        assert [r.range_start for r in server.requests_of("storage")] == [size or None]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_right_bytes_or_an_error_and_then_the_right_bytes(
    name: str,
    rounds: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    scenario = SCENARIOS[name]
    expected = None if scenario.refusal else archive(scenario.size, scenario.becomes)
    for number in range(rounds):
        folder = tmp_path / str(number)
        assert _play(scenario, folder, monkeypatch, capfd) == expected, f"round {number}"
        if scenario.refusal:
            _fetch_after_refusal(folder, monkeypatch)
            capfd.readouterr()
        shutil.rmtree(folder)
