"""The optimizer step: gradient accumulation, clipping, the learning rate, the averaged weights."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from darkroom.params.train import FitConfig
from darkroom.training import optimizers, schedules
from darkroom.training.ema import Average


class OptimizerStep:
    """Adds up the gradients of batches, and changes the weights when enough have come.

    Args:
        net: On its device.
        config: How: optimizer, lr, schedule, accumulate, clip, ema ...
        batches: Training batches in an epoch.
        best: Whether more or less of the monitored metric is better.
        fp16: Scale losses, as gradients in half precision would vanish otherwise
            (Micikevicius et al. 2018).
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
        self.optimizer = optimizers.build(
            net,
            config.optimizer,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            rates=config.rates,
            fused=not fp16,
        )
        self.schedule = schedules.build(
            self.optimizer,
            config.schedule,
            lr=config.lr,
            total_steps=config.epochs * config.steps_per_epoch(batches),
            warmup=config.warmup,
            best=best,
        )
        self.scaler = torch.amp.GradScaler("cuda", enabled=fp16)
        self.average = None if config.ema is None else Average(net, config.ema)

    @property
    def learning_rate(self) -> float:
        """The greatest rate of any layer group."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def follows(self, batch: int) -> bool:
        """Return whether a step follows the batch of this number in its epoch, from 0."""
        return (batch + 1) % self.config.accumulate == 0 or batch + 1 == self.batches

    def backward(self, loss: Tensor, batch: int) -> None:
        """Add the gradient of a batch's loss, divided by the batches that make up its step."""
        first = batch - batch % self.config.accumulate
        share = min(self.config.accumulate, self.batches - first)
        self.scaler.scale(loss / share if share > 1 else loss).backward()  # type: ignore[no-untyped-call]

    def step(self) -> dict[str, float]:
        """Change the weights; return `gradient norm` and `learning rate/<group>`, as used."""
        rates = {
            f"learning rate/{group['name']}": float(group["lr"])
            for group in self.optimizer.param_groups
        }
        self.scaler.unscale_(self.optimizer)
        norm = self._clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step_batch()
        if self.average is not None:
            self.average.update(self.net)
        return {"gradient norm": norm} | rates

    def averaged(self) -> AbstractContextManager[None]:
        """Return a context in which the network has its averaged weights, if `ema` is set."""
        return nullcontext() if self.average is None else self.average.swap(self.net)

    def state_dict(self) -> dict[str, Any]:
        """Return what the coming steps depend on besides the weights, between two steps."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of a step with the same arguments."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _clip(self) -> float:
        """Clip the gradient (Pascanu et al. 2013) where that is chosen; return its norm before."""
        learning = [p for p in self.net.parameters() if p.grad is not None]
        if self.config.clip is not None:
            return float(nn.utils.clip_grad_norm_(learning, self.config.clip))
        return float(nn.utils.get_total_norm([p.grad for p in learning if p.grad is not None]))
