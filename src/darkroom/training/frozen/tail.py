"""Split a network into what a frozen backbone computes and the layers that follow it.

What a network does between its modules is not known. So it is watched once: the layers after the
backbone are a tail only if each takes what the one before it returns, and if together they give
the network's own outputs, to the bit, in training mode and in eval mode.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class Tail(nn.Sequential):
    """The layers after a frozen backbone: from features (N, D) to the network's outputs.

    The layers are the network's own.

    Attributes:
        width: D.
        dtype: Of the features: with mixed precision it may be a half one.
    """

    width: int
    dtype: torch.dtype

    def features(self, net: nn.Module, pixels: Tensor) -> Tensor:
        """Return what the backbone of the network makes of images, (N, D), contiguous."""
        return self._watch(net, pixels)[0]

    def is_exact(self, net: nn.Module, pixels: Tensor) -> bool:
        """Return whether it gives the outputs of the whole network, to the bit, in both modes.

        The network is left in eval mode.
        """
        features = []
        for is_training in (True, False):
            if not is_training:
                net.eval()
            start = _seed(pixels.device)
            seen, outputs, state = self._watch(net, pixels)
            _seed(pixels.device)
            # A backbone that draws random numbers gives other features each time.
            if not torch.equal(state, start) or not torch.equal(self(seen.clone()), outputs):
                return False
            features.append(seen)
        return torch.equal(*features)

    def _watch(self, net: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features, the outputs, and the generator's state between the two."""
        seen: list[Tensor] = []

        def note(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            # A copy: the layer may write to its input.
            seen.extend((inputs[0].clone(memory_format=torch.contiguous_format), _state(pixels)))

        with self[0].register_forward_pre_hook(note):
            outputs = net(pixels)
        return seen[0], outputs, seen[1]


def find_tail(net: nn.Module, pixels: Tensor) -> Tail | None:
    """Return the layers after a frozen backbone; None: they are no chain from features (N, D).

    Neither the network nor torch's generators are changed.

    Args:
        net: In training mode; its backbone is frozen, and in eval mode.
        pixels: Images as the network takes them, (N, C, H, W): a batch of those to learn from.
    """
    with _unchanged(net, pixels.device), torch.no_grad():
        calls, outputs = _trace(net, pixels)
        layers = _chain(calls, outputs)
        if not layers:
            return None
        tail = Tail(*(call.layer for call in layers))
        tail.width, tail.dtype = layers[0].inputs[0].shape[1], layers[0].inputs[0].dtype
        return tail if tail.is_exact(net, pixels) else None


@dataclass
class _Call:
    """A call of a layer.

    Attributes:
        parent: The number of the call within which it is; None: of the network's own.
        is_random: Whether random numbers were drawn within.
    """

    layer: nn.Module
    parent: int | None
    inputs: tuple[Any, ...]
    output: Any = None
    is_random: bool = False

    @property
    def is_active(self) -> bool:
        """Whether a layer without others in it learns, or draws random numbers."""
        learns = any(p.requires_grad for p in self.layer.parameters(recurse=False))
        return learns or (self.is_random and not any(self.layer.children()))


def _trace(net: nn.Module, pixels: Tensor) -> tuple[list[_Call], Any]:
    """Return the calls of all layers in the order in which they began, and the outputs."""
    calls: list[_Call] = []
    running: list[tuple[int, Tensor]] = []

    def begin(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls.append(_Call(layer, running[-1][0] if running else None, inputs))
        running.append((len(calls) - 1, _state(pixels)))

    def end(_layer: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        number, state = running.pop()
        calls[number].output = output
        calls[number].is_random = not torch.equal(state, _state(pixels))

    _seed(pixels.device)
    with ExitStack() as hooks:
        for layer in net.modules():
            if layer is not net:
                hooks.enter_context(layer.register_forward_pre_hook(begin))
                hooks.enter_context(layer.register_forward_hook(end))
        return calls, net(pixels)


def _chain(calls: list[_Call], outputs: Any) -> list[_Call]:
    """Return the calls from the first active layer to the outputs, if they are a chain; or none."""
    first = next((n for n, call in enumerate(calls) if call.is_active), len(calls))
    chain = [c for c in calls[first:] if c.parent is None or c.parent < first]
    if not chain or not chain[0].inputs:
        return []
    value = chain[0].inputs[0]
    if not (isinstance(value, Tensor) and value.ndim == 2 and value.is_floating_point()):
        return []
    for call in chain:
        if len(call.inputs) != 1 or call.inputs[0] is not value:
            return []
        value = call.output
    return chain if value is outputs else []


@contextmanager
def _unchanged(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Return a context after which buffers, modes and torch's generators are as before."""
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    modes = {layer: layer.training for layer in net.modules()}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for layer, mode in modes.items():
                layer.training = mode
            for buffer, value in buffers:
                buffer.copy_(value)


def _seed(device: torch.device) -> Tensor:
    torch.default_generator.manual_seed(0)
    if device.type == "cuda":
        torch.cuda.manual_seed(0)
    return _state(torch.empty(0, device=device))


def _state(values: Tensor) -> Tensor:
    """Return the state of the generator of a tensor's device."""
    if values.is_cuda:
        return torch.cuda.get_rng_state(values.device)
    return torch.get_rng_state()
