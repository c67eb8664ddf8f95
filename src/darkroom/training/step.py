"""The optimizer step: gradient accumulation, clipping, learning rate, weight average."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from darkroom.params.train import FitConfig
from darkroom.training.ema import Average
from darkroom.training.optimizers import build_optimizer
from darkroom.training.schedules import build_schedule


class OptimizerStep:
    """Accumulates the gradients of batches, and updates the weights after every so many.

    Args:
        net: On its device.
        config: optimizer, lr, schedule, accumulate, clip, ema, average ...
        batches: Training batches of an epoch.
        best: Whether more or less of the monitored metric is better.
        fp16: Scale losses, as small gradients are 0 in half precision (Micikevicius et al. 2018).
    """

    def __init__(
        self,
        net: nn.Module,
        config: FitConfig,
        *,
        batches: int,
        best: Literal["max", "min"] = "max",
        fp16: bool = False,
    ) -> None:
        self.net, self.config, self.batches = net, config, batches
        self.parameters = list(net.parameters())  # once: a walk through all modules
        self.optimizer = build_optimizer(
            net,
            config.optimizer,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            rates=config.rates,
            layer_decay=config.layer_decay,
            fused=not fp16,  # a fused kernel unscales fp16 gradients itself, too late to clip
        )
        self.schedule = build_schedule(
            self.optimizer,
            config.schedule,
            lr=config.lr,
            total_steps=config.total_steps(batches),
            warmup=config.warmup,
            best=best,
        )
        self.scaler = torch.amp.GradScaler("cuda", enabled=fp16)
        self.average = _average(net, config, batches)

    @property
    def learning_rate(self) -> float:
        """The greatest rate of any layer group."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def is_due_after(self, batch: int) -> bool:
        """Return whether a step follows a batch of an epoch, counted from 0.

        The last step of an epoch may have fewer batches: no gradient outlives its epoch.
        """
        return (batch + 1) % self.config.accumulate == 0 or batch + 1 == self.batches

    def batches_of_step(self, batch: int) -> range:
        """Return the batches of an epoch, counted from 0, that make a step with this one."""
        first = batch - batch % self.config.accumulate
        return range(first, min(first + self.config.accumulate, self.batches))

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a batch's loss (a scalar): its share of the loss of the step."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def clip(self, *, is_logged: bool = True) -> Tensor | None:
        """Clip the gradient's norm (Pascanu et al. 2013), if `clip` is set.

        Args:
            is_logged: Whether the norm is wanted where nothing is clipped: it costs some percent
                of a small step.

        Returns:
            The unclipped norm, a scalar on the device; None: it was not computed. Call it once,
            before `step`.
        """
        self.scaler.unscale_(self.optimizer)  # the limit is of true gradients
        if self.config.clip is not None:
            return nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        if not is_logged:
            return None
        return nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])

    def step(self) -> dict[str, float]:
        """Update the weights; return `learning rate/<group>`, as it was for this step.

        Where layers have rates of their own, it is that of the last one in the group.
        """
        rates = {
            f"learning rate/{group['name']}": float(group["lr"])
            for group in self.optimizer.param_groups
        }
        self.scaler.step(self.optimizer)  # skipped if fp16 gradients have overflowed
        self.scaler.update()
        # None, not 0: the optimizer skips frozen parameters, weight decay included.
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step_batch()
        if self.average is not None:
            self.average.update(self.net)
        return rates

    def averaged(self) -> AbstractContextManager[None]:
        """Return a context in which the network has its averaged weights, if there are some."""
        return nullcontext() if self.average is None else self.average.swap(self.net)

    def state_dict(self) -> dict[str, Any]:
        """Return all that later steps depend on, except the weights; call it between two steps."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of an OptimizerStep with the same arguments."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])


def _average(net: nn.Module, config: FitConfig, batches: int) -> Average | None:
    """Return the average that is set, of all steps or of the last ones; or None."""
    if config.average is None:
        return None if config.ema is None else Average(net, config.ema)
    steps = config.total_steps(batches)
    return Average(net, None, skip=steps - max(1, round(config.average * steps)))
