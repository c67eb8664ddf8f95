"""From losses to steps of the optimiser: accumulating, clipping, the rate, the average."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from darkroom.training import optimizers, schedules
from darkroom.training.distributed import ALONE, Team
from darkroom.training.ema import Average


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How the weights follow the gradient.

    Attributes:
        lr: The peak learning rate.
        weight_decay: How strongly weights are drawn to zero.
        optimizer: A name of `darkroom.training.optimizers.NAMES`.
        momentum: See `darkroom.training.optimizers.build`.
        schedule: A name of `darkroom.training.schedules.SHAPES`.
        warmup: Share of all steps in which the rate rises; None: the schedule's usual one.
        rates: Factors on `lr` by layer group.
        accumulate: Batches whose mean gradient makes one step; fewer at the end of an epoch.
        clip: The greatest norm of a step's gradient (Pascanu et al. 2013); None: any.
        freeze: "backbone": only the head learns.
        unfreeze_epoch: The epoch, from 1, from which on a frozen backbone learns too.
        ema: Decay of the running average of the weights, which is then what is validated and
            kept; None: the weights themselves.
    """

    lr: float
    weight_decay: float = 0.01
    optimizer: str = "adamw"
    momentum: float = 0.9
    schedule: str = "one_cycle"
    warmup: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    accumulate: int = 1
    clip: float | None = None
    freeze: Literal["none", "backbone"] = "none"
    unfreeze_epoch: int | None = None
    ema: float | None = None

    def frozen(self, epoch: int) -> bool:
        """Return whether the backbone stands still in an epoch, counted from 0."""
        thaw = self.unfreeze_epoch
        return self.freeze == "backbone" and (thaw is None or epoch + 1 < thaw)

    def steps(self, batches: int) -> int:
        """Return the steps in an epoch of so many batches."""
        return -(-batches // self.accumulate)


class Stepper:
    """Takes the losses of batches, and steps when enough have come.

    Args:
        net: On its device.
        choice: How.
        batches: In an epoch.
        epochs: In the training.
        best: Whether more or less of the monitored metric is better.
        fp16: Scale losses, as gradients in half precision would vanish otherwise
            (Micikevicius et al. 2018).
        team: The processes that share every batch.
    """

    def __init__(
        self,
        net: nn.Module,
        choice: Optimisation,
        *,
        batches: int,
        epochs: int,
        best: Literal["max", "min"] = "max",
        fp16: bool = False,
        team: Team = ALONE,
    ) -> None:
        self.net, self.choice, self.batches, self.team = net, choice, batches, team
        self.optimizer = optimizers.build(
            net,
            choice.optimizer,
            lr=choice.lr,
            weight_decay=choice.weight_decay,
            momentum=choice.momentum,
            rates=choice.rates,
            fused=not fp16,
        )
        self.schedule = schedules.build(
            self.optimizer,
            choice.schedule,
            lr=choice.lr,
            total_steps=epochs * choice.steps(batches),
            warmup=choice.warmup,
            best=best,
        )
        self.scaler = torch.amp.GradScaler("cuda", enabled=fp16)
        self.average = None if choice.ema is None else Average(net, choice.ema)

    @property
    def learning_rate(self) -> float:
        """The greatest rate of any layer group."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def ends(self, index: int) -> bool:
        """Return whether a step follows the batch of this index in its epoch."""
        return (index + 1) % self.choice.accumulate == 0 or index + 1 == self.batches

    def backward(self, loss: Tensor, index: int) -> None:
        """Add the gradient of a batch's mean loss, weighted by its share of the step."""
        shared = self._sharing(index)
        self.scaler.scale(loss / shared if shared > 1 else loss).backward()  # type: ignore[no-untyped-call]

    def step(self) -> dict[str, float]:
        """Change the weights; return `gradient norm` and `learning rate/<group>`, as used."""
        told = {
            f"learning rate/{group['name']}": float(group["lr"])
            for group in self.optimizer.param_groups
        }
        self.team.add_gradients(self.net)
        self.scaler.unscale_(self.optimizer)
        norm = self._norm()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step_batch()
        self.team.average_buffers(self.net)
        if self.average is not None:
            self.average.update(self.net)
        return {"gradient norm": norm} | told

    def averaged(self) -> AbstractContextManager[None]:
        """Return a context in which the network has its averaged weights, if it keeps such."""
        return nullcontext() if self.average is None else self.average.swap(self.net)

    def state_dict(self) -> dict[str, Any]:
        """Return what the coming steps depend on beside the weights, between two steps."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one of the same arguments stood."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _sharing(self, index: int) -> int:
        """Return how many batches make the step that the batch of this index is part of."""
        first = index - index % self.choice.accumulate
        return min(self.choice.accumulate, self.batches - first)

    def _norm(self) -> float:
        learning = [p for p in self.net.parameters() if p.grad is not None]
        if self.choice.clip is not None:
            return float(nn.utils.clip_grad_norm_(learning, self.choice.clip))
        return float(nn.utils.get_total_norm([p.grad for p in learning if p.grad is not None]))
