"""The running average of a network's weights, which often scores better than the latest weights.

Polyak and Juditsky 1992; in its exponential form Tarvainen and Valpola 2017; over the last part of
a training Izmailov et al. 2018, stochastic weight averaging (SWA).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn


class Average:
    """Keeps the average of every floating tensor of a network, batch-norm statistics included.

    With a decay, the n-th update, counted from 0, keeps min(decay, (1 + n) / (10 + n)) of the
    average, so that it soon forgets the initial weights. Without, all updates count alike.
    Integers, such as counters, are copied.

    Args:
        net: The network, on its device.
        decay: Share of the average that an update keeps, 0 to 1; None: the plain mean.
        skip: Updates that are left out at first; until they are over there is no average.
    """

    def __init__(self, net: nn.Module, decay: float | None, *, skip: int = 0) -> None:
        self.decay, self.skip, self.updates = decay, skip, 0
        self.weights = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take the weights into the average: once after every optimizer step."""
        count = self.updates - self.skip
        self.updates += 1
        if count < 0:
            return
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                averages.append(self.weights[name])
                values.append(value)
            else:
                self.weights[name].copy_(value)
        if averages:
            # All tensors in a few kernels, where the device has such kernels.
            self._combine(count)(averages, values, count)

    def _combine(self, count: int) -> Callable[[list[Tensor], list[Tensor], int], None]:
        """Return what takes values into averages of so many."""
        if self.decay is None:
            return get_swa_multi_avg_fn()  # type: ignore[no-untyped-call, no-any-return]
        decay = min(self.decay, (1 + count) / (10 + count))
        return get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call, no-any-return]

    @contextmanager
    def swap(self, net: nn.Module) -> Iterator[None]:
        """Return a context in which the network has the average, if there is one yet."""
        if self.updates <= self.skip:
            yield
            return
        own = {name: value.detach().clone() for name, value in net.state_dict().items()}
        _copy_into(self.weights, net)
        try:
            yield
        finally:
            _copy_into(own, net)

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of updates; the tensors are not copies."""
        return {"updates": self.updates, "weights": dict(self.weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of another average of the same network."""
        weights: dict[str, Tensor] = state["weights"]
        if weights.keys() != self.weights.keys():
            odd = sorted(weights.keys() ^ self.weights.keys())
            raise KeyError(f"the average is of another network: {odd[0]}")
        self.updates = int(state["updates"])
        for name, value in weights.items():
            self.weights[name].copy_(value)


@torch.no_grad()
def _copy_into(weights: dict[str, Tensor], net: nn.Module) -> None:
    """Copy into the existing tensors, as optimizers and other processes refer to them."""
    for name, value in net.state_dict().items():
        value.copy_(weights[name])
