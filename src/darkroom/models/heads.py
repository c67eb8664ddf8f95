"""The output of a regression: from the last layer to values in the table's units.

A network learns best values about 0 of magnitude 1. So it learns shifted and scaled values; this
module converts them back, in float32: half precision lacks the digits of a year or a price.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError

# Below it, the soft exponential is computed by its series, as both formulas divide by alpha.
NEAR_ZERO = 1e-4


class BentIdentity(nn.Module):
    """(√(x² + 1) - 1) / 2 + x: steeper above zero than below, and smooth."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return ((x.square() + 1).sqrt() - 1) / 2 + x


class SoftExponential(nn.Module):
    """Between logarithm, identity and exponential, as a learnt alpha says (Godfrey, Gashler 2015).

        alpha < 0    -ln(1 - alpha (x + alpha)) / alpha
        alpha = 0    x
        alpha > 0    (exp(alpha x) - 1) / alpha + alpha

    Where alpha < 0 the logarithm is defined up to some x only, and constant beyond. The exponent
    is limited to 60, so that no finite x gives an infinite value.

    Args:
        outputs: Each has an alpha of its own, at first 0.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs) for (N, outputs)."""
        return soft_exponential(x, self.alpha)


def soft_exponential(x: Tensor, alpha: Tensor) -> Tensor:
    """Return the soft exponential of x (N, K), with alpha (K,); differentiable in both."""
    # Each formula gets an alpha for which it is defined, also where another's value is chosen:
    # the gradient would be 0 times nan, which is nan.
    above = torch.where(alpha > NEAR_ZERO, alpha, 1.0)
    below = torch.where(alpha < -NEAR_ZERO, alpha, -1.0)
    exponential = torch.expm1((above * x).clamp(max=60)) / above + above
    logarithm = -torch.log1p((-below * (x + below)).clamp(min=1e-6 - 1)) / below
    series = x + alpha * (1 + x.square() / 2)
    bent = torch.where(alpha > 0, exponential, logarithm)
    return torch.where(alpha.abs() > NEAR_ZERO, bent, series)


# Called with the number of outputs: some learn a parameter for each.
ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "linear": lambda _: nn.Identity(),
    "relu": lambda _: nn.ReLU(),
    "prelu": lambda outputs: nn.PReLU(outputs),
    "softplus": lambda _: nn.Softplus(),
    "bent_identity": lambda _: BentIdentity(),
    "soft_exponential": SoftExponential,
}


class Values(nn.Module):
    """The last layer's numbers (N, outputs) to values in the units of the table, float32.

    linear: shift + scale x; any other: scale activation(x), as its zero has a meaning.

    Args:
        activation: One of `ACTIVATIONS`.
        outputs: How many values.
        shift: One a value, say the mean of the training targets; zeros if None.
        scale: One a value, say their standard deviation; ones if None.

    Attributes:
        shift: A buffer (outputs,). Like `scale` it belongs to the table and is no weight: it is
            not in the state dict, so that weights of another table do not bring its units.
        scale: A buffer (outputs,).

    Raises:
        ParamsError: An unknown activation, or invalid numbers.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        activation: str,
        outputs: int,
        shift: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ParamsError(
                "there is no output of this name", found=activation, expected=", ".join(ACTIVATIONS)
            )
        self.linear = activation == "linear"
        self.activation = ACTIVATIONS[activation](outputs)
        for name, values, default in (("shift", shift, 0.0), ("scale", scale, 1.0)):
            numbers = [default] * outputs if values is None else [float(x) for x in values]
            _check_numbers(name, numbers, outputs)
            self.register_buffer(name, torch.tensor(numbers), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs), float32."""
        values: Tensor = self.scale * self.activation(x.float())
        return self.shift + values if self.linear else values


def attach_output(
    net: nn.Module,
    outputs: int,
    *,
    output: str,
    shift: Sequence[float] | None,
    scale: Sequence[float] | None,
) -> None:
    """Add `Values` to a network, as its module `values`; an unscaled linear output needs none.

    Raises:
        ParamsError: As of `Values`.
    """
    values = Values(output, outputs, shift, scale)
    if output != "linear" or shift is not None or scale is not None:
        net.add_module("values", values)
        net.register_forward_hook(_through_values)


def _through_values(net: nn.Module, _images: tuple[Tensor, ...], x: Tensor) -> Tensor:
    return net.get_submodule("values")(x)  # type: ignore[no-any-return]


def _check_numbers(name: str, numbers: list[float], outputs: int) -> None:
    """Refuse numbers that are not finite, scales of 0 or less, and a wrong number of them."""
    are_valid = all(math.isfinite(n) and (name == "shift" or n > 0) for n in numbers)
    if len(numbers) != outputs or not are_valid:
        kind = "finite" if name == "shift" else "finite and greater than 0"
        raise ParamsError(
            f"the {name} of the outputs is invalid", found=numbers, expected=f"{outputs}, {kind}"
        )
