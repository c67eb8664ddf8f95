"""Memory format, compilation, precision, determinism: the network gets what is configured."""

import platform
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from darkroom.errors import ParamsError
from darkroom.params.train import FitConfig
from darkroom.training.device import choose_precision, deterministic, keep_freed_memory
from tests.support.interrupted import network, train


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_format_is_the_configured_one(tmp_path: Path, channels_last: bool) -> None:
    orders = set()

    class Look(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            last = images.is_contiguous(memory_format=torch.channels_last)
            orders.add("last" if last else "first" if images.is_contiguous() else "neither")
            return images

    net = network(1)
    looking = nn.Sequential(Look(), net[0], Look(), *net[1:])
    train(tmp_path, net=looking, config={"channels_last": channels_last, "epochs": 1})
    assert orders == {"last" if channels_last else "first"}


@pytest.mark.parametrize(
    ("device", "capability", "task", "precision", "expected"),
    [
        ("cuda", (9, 0), "segmentation", "auto", "bf16"),
        ("cuda", (8, 0), "multiclass", "auto", "bf16"),
        ("cuda", (7, 5), "segmentation", "auto", "fp16"),
        ("cuda", (6, 1), "multilabel", "auto", "fp16"),
        ("cuda", (9, 0), "regression", "auto", "float32"),
        ("cuda", (7, 5), "regression", "auto", "float32"),
        ("cuda", (9, 0), "regression", "bf16", "bf16"),
        ("cuda", (7, 5), "segmentation", "float32", "float32"),
        ("cpu", None, "segmentation", "auto", "float32"),
        ("mps", None, "segmentation", "auto", "float32"),
        ("cpu", None, "segmentation", "bf16", "bf16"),
    ],
)
def test_the_precision_of_a_device(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    capability: tuple[int, int] | None,
    task: str,
    precision: Any,
    expected: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    config = FitConfig(epochs=1, lr=0.1, precision=precision)
    assert choose_precision(config, torch.device(device), task) == expected


@pytest.mark.parametrize(
    ("capabilities", "words"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "this processor emulates bf16"),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, ""),
        ({}, ""),
    ],
)
def test_a_processor_that_emulates_bf16_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    capabilities: dict[str, bool],
    words: str,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    for precision in ("float32", "auto", "bf16"):
        config = FitConfig(epochs=1, lr=0.1, precision=precision)
        choose_precision(config, torch.device("cpu"), "segmentation")
    err = capsys.readouterr().err
    assert err.count("\n") == bool(words)
    assert words in err


def test_on_a_gpu_any_algorithm_is_used_only_if_asked_for() -> None:
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    states = []
    for device, enabled in ((gpu, True), (gpu, False), (cpu, True), (cpu, False)):
        with deterministic(device, enabled=enabled):
            states.append(torch.are_deterministic_algorithms_enabled())
            assert not torch.empty(9).isnan().all(), "memory is not filled before use"
    assert states == [True, False, True, True]
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_what_an_accelerator_cannot_compute_the_same_twice_is_a_warning() -> None:
    for name, mode in (("cpu", 2), ("cuda", 1), ("mps", 1)):
        with deterministic(torch.device(name)):
            assert torch.get_deterministic_debug_mode() == mode


def test_compiled_networks_are_deterministic_too() -> None:
    switch = torch._inductor.config
    if not hasattr(switch, "deterministic"):
        pytest.skip(f"torch {torch.__version__} has no such switch")
    with deterministic(torch.device("cpu"), compiled=True):
        assert torch.get_deterministic_debug_mode() == 2
        assert switch.deterministic
    assert torch.get_deterministic_debug_mode() == 0
    assert not switch.deterministic


def test_a_compiler_without_the_switch_is_refused_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._inductor, "config", SimpleNamespace())
    refused = pytest.raises(ParamsError, match=r"not repeatable[\s\S]*train.deterministic to false")
    with refused, deterministic(torch.device("cuda"), compiled=True):
        pass
    with deterministic(torch.device("cuda"), compiled=True, enabled=False):
        pass


def test_what_is_not_compiled_does_not_import_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "use_deterministic_algorithms")  # which imports it
    with deterministic(torch.device("cpu")):
        assert torch.get_deterministic_debug_mode() == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_freed_memory_serves_the_next_tensors() -> None:
    def faults_of_rounds(rounds: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(rounds):
            tensors = [torch.ones(2 * 2**20) for _ in range(6)]  # 8 MiB each: 2,048 pages
            del tensors
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    keep_freed_memory()
    faults_of_rounds(1)
    # The least of some: a system short of memory may take pages away at any time.
    least = min(faults_of_rounds(5) for _ in range(4))
    assert least < 2048, "else each page comes anew: 14,299 of them"


@pytest.mark.slow
def test_each_batch_size_is_compiled_separately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on sees the sizes in another order, and must have the same bits."""
    compile_, graphs = torch.compile, []

    def note(graph: fx.GraphModule, inputs: list[Any]) -> Any:
        graphs.append(any(isinstance(each, torch.SymInt) for each in inputs))
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda net, **how: compile_(net, backend=note, **how))
    train(tmp_path, config={"compile": True, "epochs": 2})
    assert len(graphs) >= 3, "batches of four and of two to learn from, of four to validate with"
    assert not any(graphs), "none is of any size"
