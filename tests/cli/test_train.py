"""Which of several failed processes a launcher reports."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from darkroom.cli import train
from darkroom.errors import ResourceError
from darkroom.project import processes

LOST = 75


def failures(folder: Path, *ends: tuple[int, str]) -> Any:
    """Return what torchrun reports of processes with these exit codes and messages."""
    for rank, (code, message) in enumerate(ends):
        file = folder / f"{rank}.json"
        if message:
            error = {"message": message, "timestamp": 9, "exit_code": 2}
            file.write_text(json.dumps(error))
        yield ProcessFailure(rank, 100 + rank, code, str(file))


@pytest.mark.parametrize(
    ("ends", "code", "message"),
    [
        ([(2, "wrong"), (LOST, "lost")], 2, "wrong"),
        ([(LOST, "lost"), (2, "wrong")], 2, "wrong"),
        # torchrun stopped it while it was still leaving.
        ([(LOST, "lost"), (-signal.SIGTERM, "wrong")], 2, "wrong"),
        ([(1, ""), (-signal.SIGTERM, "")], 1, ""),
        ([(143, ""), (143, "")], 143, ""),
    ],
)
def test_the_process_that_failed_first_is_reported(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ends: list[tuple[int, str]],
    code: int,
    message: str,
) -> None:
    assert train._exit_code([*failures(tmp_path, *ends)], 2) == code
    assert capsys.readouterr().err.strip() == message


@pytest.mark.parametrize("other", [(LOST, "lost"), (-signal.SIGTERM, "")])
def test_a_killed_process_is_named(tmp_path: Path, other: tuple[int, str]) -> None:
    with pytest.raises(ResourceError, match="process 1 of the 2 that train together") as caught:
        train._exit_code([*failures(tmp_path, other, (-signal.SIGKILL, ""))], 2)
    assert "killed by SIGKILL" in str(caught.value)


def test_one_device_starts_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    monkeypatch.setattr("darkroom.stages.train.run", lambda _context, fold, **_: ran.append(fold))
    monkeypatch.setattr(train, "launch", lambda *_: pytest.fail("a process too many"))
    section = SimpleNamespace(train=SimpleNamespace(devices=1))
    assert train.run(cast(Any, SimpleNamespace(section=section, name="tiny")), 3) == 0
    assert ran == [3]


def test_several_devices_run_the_same_command_again(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[int, list[str]]] = []

    def launch(count: int, arguments: list[str]) -> int:
        started.append((count, arguments))
        return 0

    monkeypatch.setattr(train, "launch", launch)
    section = SimpleNamespace(train=SimpleNamespace(devices=4, accelerator="cpu"))
    monkeypatch.setattr(processes, "cores", lambda: 4)
    assert train.run(cast(Any, SimpleNamespace(section=section, name="tiny")), 3) == 0
    assert started == [(4, ["train", "tiny", "--fold", "3"])]


def test_more_processes_than_cores_are_refused_before_any_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "launch", lambda *_: pytest.fail("started"))
    monkeypatch.setattr(processes, "cores", lambda: 4)
    section = SimpleNamespace(train=SimpleNamespace(devices=64, accelerator="cpu"))
    with pytest.raises(ResourceError, match=r"fewer cores than train\.devices") as caught:
        train.run(cast(Any, SimpleNamespace(section=section, name="tiny")), 0)
    assert "set train.devices to 4" in str(caught.value)
