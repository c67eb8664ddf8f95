"""Outputs of regressions: each function by its formula, and the units of the table."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError
from darkroom.models.build import build_network
from darkroom.models.heads import ACTIVATIONS, BentIdentity, Values, soft_exponential

XS = [-3.0, -0.5, 0.0, 0.5, 3.0]


def by_formula(x: float, alpha: float) -> float:
    if alpha < 0:
        return -math.log(1 - alpha * (x + alpha)) / alpha
    return x if alpha == 0 else (math.exp(alpha * x) - 1) / alpha + alpha


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("linear", lambda x: x),
        ("relu", lambda x: max(0.0, x)),
        ("prelu", lambda x: x if x > 0 else 0.25 * x),
        ("softplus", lambda x: math.log(1 + math.exp(x))),
        ("bent_identity", lambda x: (math.sqrt(x * x + 1) - 1) / 2 + x),
        ("soft_exponential", lambda x: x),
    ],
)
def test_each_by_its_formula(name: str, formula: object) -> None:
    assert callable(formula)
    answers = Values(name, 1)(torch.tensor(XS)[:, None])
    assert answers[:, 0].tolist() == pytest.approx([formula(x) for x in XS], abs=1e-6)
    assert name in ACTIVATIONS


@pytest.mark.parametrize("alpha", [-0.3, -1e-3, 0.0, 1e-3, 0.7])
def test_soft_exponential_by_its_formula(alpha: float) -> None:
    answers = soft_exponential(torch.tensor(XS)[:, None], torch.tensor([alpha]))
    expected = [by_formula(x, alpha) for x in XS]
    assert answers[:, 0].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_soft_exponential_of_one_and_of_minus_one() -> None:
    """At alpha 1 it is exp(x), at -1 it is log(x): what it was made for."""
    x = torch.tensor([[0.5, 0.5], [2.0, 2.0]])
    answers = soft_exponential(x, torch.tensor([1.0, -1.0]))
    torch.testing.assert_close(answers[:, 0], x[:, 0].exp())
    torch.testing.assert_close(answers[:, 1], x[:, 1].log())


@pytest.mark.parametrize("start", [-2e-4, -5e-5, 0.0, 5e-5, 2e-4])
def test_alpha_learns_from_nought_and_about_it(start: float) -> None:
    """The slope in alpha at 0 is 1 + x² / 2, from either side."""
    alpha = torch.tensor([start], requires_grad=True)
    soft_exponential(torch.tensor([[2.0]]), alpha).sum().backward()  # type: ignore[no-untyped-call]
    assert alpha.grad is not None
    assert alpha.grad.item() == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize("alpha", [-4.0, -0.5, 0.0, 0.5, 4.0])
def test_soft_exponential_never_runs_off(alpha: float) -> None:
    learnt = torch.tensor([alpha], requires_grad=True)
    x = torch.tensor([[-1e4], [-10.0], [10.0], [1e4]], requires_grad=True)
    answers = soft_exponential(x, learnt)
    answers.sum().backward()  # type: ignore[no-untyped-call]
    assert answers.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert learnt.grad is not None
    assert learnt.grad.isfinite().all()
    assert (answers.diff(dim=0) >= 0).all(), "it never falls"


def test_bent_identity_is_steeper_above() -> None:
    x = torch.tensor([-2.0, 0.0, 2.0], requires_grad=True)
    BentIdentity()(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([1 - 1 / math.sqrt(5), 1, 1 + 1 / math.sqrt(5)])


def test_units_of_the_table() -> None:
    x = torch.tensor([[1.0, -1.0]])
    assert Values("linear", 2, [100, 5], [10, 2])(x).tolist() == [[110, 3]]
    assert Values("relu", 2, [100, 5], [10, 2])(x).tolist() == [[10, 0]]


def test_half_precision_loses_no_units() -> None:
    """2000 + 1 / 4: bfloat16 has no number between 2000 and 2008."""
    values = Values("linear", 1, [2000], [1])
    with torch.autocast("cpu", torch.bfloat16):
        answer = values(torch.tensor([[0.25]], dtype=torch.bfloat16))
    assert answer.dtype == torch.float32
    assert answer.item() == 2000.25


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"output": "relux"}, r"no output of this name[\s\S]*found: relux[\s\S]*linear, relu"),
        ({"shift": [1.0]}, r"the shift of the outputs is invalid[\s\S]*expected: 2, finite"),
        ({"scale": [1.0, 0.0]}, r"the scale[\s\S]*finite and greater than 0"),
        ({"scale": [1.0, math.inf]}, "the scale"),
        ({"shift": [1.0, math.nan]}, "the shift"),
    ],
)
def test_what_cannot_be(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        build_network("small_cnn", outputs=2, seed=1, width=2, depth=1, **arguments)


def plain(**arguments: Any) -> nn.Module:
    return build_network("small_cnn", outputs=2, seed=1, width=2, depth=1, dropout=0.0, **arguments)


def answer(net: nn.Module) -> Tensor:
    images = torch.linspace(-1, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)
    with torch.inference_mode():
        return net.eval()(images)  # type: ignore[no-any-return]


def test_a_network_answers_in_units_and_its_weights_keep_their_names() -> None:
    units = plain(shift=[10.0, 0.0], scale=[2.0, 3.0])
    bare = plain()
    assert list(units.state_dict()) == list(bare.state_dict()), "units are no weights"
    by_hand = answer(bare) * torch.tensor([2.0, 3.0]) + torch.tensor([10.0, 0.0])
    torch.testing.assert_close(answer(units), by_hand)


def test_what_an_output_learns_is_a_weight() -> None:
    more = set(plain(output="soft_exponential").state_dict()) - set(plain().state_dict())
    assert more == {"values.activation.alpha"}
    more = set(plain(output="prelu").state_dict()) - set(plain().state_dict())
    assert more == {"values.activation.weight"}
    net = plain(output="soft_exponential").train()
    net(torch.randn(4, 3, 4, 4)).sum().backward()
    alpha = net.get_parameter("values.activation.alpha")
    assert alpha.grad is not None
    assert (alpha.grad != 0).all()
