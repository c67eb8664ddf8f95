"""Trackers by name, against stand-ins for their packages that keep what they are sent."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from darkroom.errors import ParamsError
from darkroom.training.trackers.by_name import trackers

ROWS = [{"epoch": n, "loss/train": 1.0 / n, "accuracy/val": n / 10} for n in (1, 2, 3)]
FACTS: dict[str, bool | float | str] = {"lr": 0.1, "model.name": "unet", "long": "x" * 600}


class Wandb:
    """The functions of wandb that are used."""

    def __init__(self, mode: str = "online", *, has_login: bool = True) -> None:
        self.calls: list[Any] = []
        self.mode, self.has_login = mode, has_login

    def setup(self) -> Any:
        if self.mode == "wrong":
            raise ValueError("mode: it should be 'online' or 'offline'")
        return SimpleNamespace(settings=SimpleNamespace(mode=self.mode, identity_token_file=None))

    def login(self, *, prompt: bool = True, verify: bool = True) -> bool:
        assert not prompt, "it would wait"
        assert not verify, "it would ask the server"
        return self.has_login

    def init(self, **options: Any) -> Any:
        self.calls.append(options)
        return self

    def log(self, row: dict[str, float], step: int) -> None:
        self.calls.append((step, row))

    def finish(self, exit_code: int) -> None:
        self.calls.append(exit_code)


class Mlflow:
    """The functions of mlflow that are used."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def set_experiment(self, name: str) -> None:
        self.calls.append(name)

    def start_run(self, run_id: str | None = None, run_name: str | None = None) -> Any:
        self.calls.append((run_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "abc"))

    def log_params(self, params: dict[str, str]) -> None:
        self.calls.append(params)

    def log_metrics(self, row: dict[str, float], step: int) -> None:
        self.calls.append((step, row))

    def end_run(self, status: str) -> None:
        self.calls.append(status)


def train(folder: Path, name: str, first: int, last: int) -> None:
    """Go through the epochs from `first` to `last` of three, as the loop does."""
    loop: Any = SimpleNamespace(
        history=ROWS[: first - 1], should_stop=False, config=SimpleNamespace(epochs=3)
    )
    (tracker,) = trackers([name], folder, FACTS)
    tracker.on_train_start(loop)
    for epoch in range(first, last + 1):
        loop.history = ROWS[:epoch]
        tracker.on_epoch_end(loop)
    tracker.on_train_end(loop)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "WANDB_ERROR_REPORTING": "true"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs/cars/fold0-12345678"


def test_wandb_gets_each_epoch_of_one_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", package)
    train(folder, "wandb", 1, 2)
    train(folder, "wandb", 3, 3)
    opened = {
        "project": "cars",
        "id": "cars-fold0-12345678",
        "name": "fold0-12345678",
        "resume": "allow",
        "config": FACTS,
        "dir": str(folder),
    }
    rows = [(n, row) for n, row in enumerate(ROWS, 1)]
    assert package.calls == [opened, *rows[:2], 1, opened, rows[2], 0]


class OlderWandb(Wandb):
    """One that can't be asked whether there is a login."""

    @property
    def api(self) -> Any:
        return SimpleNamespace(api_key="a key" if self.has_login else None)

    def login(self) -> bool:  # type: ignore[override]
        raise AssertionError("it would wait")


@pytest.mark.parametrize("kind", [Wandb, OlderWandb])
def test_wandb_never_waits_for_a_login(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Wandb]
) -> None:
    def begin(mode: str, *, has_login: bool) -> None:
        monkeypatch.setitem(sys.modules, "wandb", kind(mode, has_login=has_login))
        trackers(["wandb"], folder, FACTS)

    begin("online", has_login=True)
    begin("offline", has_login=False)
    begin("disabled", has_login=False)
    with pytest.raises(ParamsError, match=r"(?s)nobody has logged in.*wandb login.*WANDB_API_KEY"):
        begin("online", has_login=False)
    with pytest.raises(ParamsError, match=r"(?s)found: mode: it should be.*WANDB_MODE=offline"):
        begin("wrong", has_login=True)


def test_mlflow_gets_each_epoch_of_one_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Mlflow()
    monkeypatch.setitem(sys.modules, "mlflow", package)
    train(folder, "mlflow", 1, 2)
    train(folder, "mlflow", 3, 3)
    rows = [(n, {key: row[key] for key in row if key != "epoch"}) for n, row in enumerate(ROWS, 1)]
    params = {"lr": "0.1", "model.name": "unet", "long": "x" * 500}
    first = ["cars", (None, "fold0-12345678"), params, *rows[:2], "KILLED"]
    assert package.calls == [*first, "cars", ("abc", None), rows[2], "FINISHED"]


def test_a_training_goes_on_where_a_tracker_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = Mlflow()

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(package, "log_metrics", fail)
    monkeypatch.setitem(sys.modules, "mlflow", package)
    train(folder, "mlflow", 1, 3)
    message = "mlflow gets no more of this training: no route to host\n"
    assert capsys.readouterr().err == message, "once"


def test_a_package_that_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ParamsError, match=r"(?s)train.loggers.*pip install wandb`"):
        trackers(["wandb"], folder, FACTS)
    with pytest.raises(ParamsError, match="pip install mlflow-skinny alembic sqlalchemy`"):
        trackers(["mlflow"], folder, FACTS)
    assert trackers([], folder, FACTS) == []


@pytest.mark.parametrize("fault", ["raise AttributeError('np.float_')", "raise SystemExit(3)"])
def test_a_package_that_fails_to_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    (tmp_path / "wandb.py").write_text(fault)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(ParamsError, match="wandb can't be imported") as caught:
        trackers(["wandb"], tmp_path, FACTS)
    assert "np.float_" in str(caught.value) or "SystemExit: 3" in str(caught.value)
