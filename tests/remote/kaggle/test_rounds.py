"""Fetches through Kaggle's own client, whatever goes wrong, round after round."""

from pathlib import Path

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.download import RemoteFile, download
from darkroom.remote.kaggle import api
from darkroom.remote.retry import RetryPolicy, retry
from tests.remote.kaggle.quiet import SECRETS, SLUG, limit_silence
from tests.remote.kaggle.scenarios import SCENARIOS, Scenario, archive
from tests.support.loopback import Competition, Kaggle

NOTHING = "X-Goog-Signature"  # of a signed address: neither it nor a secret may be told


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
    """Fetch once, hold words and requests against the scenario; return what has the file's name."""
    target = folder / scenario.name
    limit_silence(monkeypatch, scenario.silence_s)
    with Kaggle() as server:
        server.lead(monkeypatch, scenario.token)
        _serve(server, scenario)
        if scenario.refusal:
            with pytest.raises(RemoteError) as caught:
                _fetch(scenario.name, folder)
            told = str(caught.value)
            for words in scenario.refusal:
                assert words in told
            assert caught.value.exit_code == 4
        else:
            told = ""
            assert _fetch(scenario.name, folder) == target
            assert sorted(path.name for path in folder.iterdir()) == [scenario.name]
        assert server.unplayed() == []
        assert server.of("outside") == []
        if scenario.starts is not None:
            assert tuple(r.range_start for r in server.of("storage")) == scenario.starts
    out, err = capfd.readouterr()
    assert out == ""
    retries = [line for line in err.splitlines() if "; retry in " in line]
    assert len(retries) == len(scenario.says), err
    for words, line in zip(scenario.says, retries, strict=True):
        assert words in line
    assert not [secret for secret in (*SECRETS, NOTHING) if secret in told + err]
    return target.read_bytes() if target.exists() else None


def _due(scenario: Scenario) -> bytes | None:
    """Return what may have the file's name in the end: nothing, if the file is refused."""
    return None if scenario.refusal else archive(scenario.size, scenario.becomes)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_right_bytes_or_none(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario = SCENARIOS[name]
    assert _play(scenario, tmp_path, monkeypatch, capfd) == _due(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_right_bytes_or_none_round_after_round(
    name: str,
    rounds: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    scenario = SCENARIOS[name]
    for number in range(rounds):
        folder = tmp_path / str(number)
        assert _play(scenario, folder, monkeypatch, capfd) == _due(scenario), f"round {number}"
        (folder / scenario.name).unlink(missing_ok=True)


@pytest.mark.parametrize("name", [name for name, one in SCENARIOS.items() if one.refusal])
def test_what_was_refused_comes_when_nothing_is_wrong_any_more(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _play(SCENARIOS[name], tmp_path, monkeypatch, capfd) is None
    part = tmp_path / "train.zip.part"
    here = part.stat().st_size if part.exists() else None
    with Kaggle() as server:
        server.lead(monkeypatch)
        _serve(server, Scenario())
        assert _fetch("train.zip", tmp_path).read_bytes() == archive(Scenario().size)
        assert [r.range_start for r in server.of("storage")] == [here or None]
