"""What holds for every loss of every task, and how a choice of losses is read."""

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from darkroom.errors import DataError, ParamsError
from darkroom.tasks.losses.build import balanced_weights, build_loss
from darkroom.tasks.losses.choice import NAMES, LossChoice
from darkroom.tasks.table import TASKS
from tests.tasks.losses.cases import EVERY, case, extremes

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def usual(task: str, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the usual loss, written out once more."""
    if task == "segmentation":
        scores, truth = logits.squeeze(1), targets.squeeze(1).float()
        found = torch.sigmoid(scores)
        overlap = 2 * (found * truth).sum((1, 2)) + 1
        size = found.square().sum((1, 2)) + truth.square().sum((1, 2)) + 1
        return F.binary_cross_entropy_with_logits(scores, truth) + (1 - overlap / size).mean()
    if task == "multiclass":
        return F.cross_entropy(logits, targets)
    if task == "regression":
        return F.mse_loss(logits, targets)
    return F.binary_cross_entropy_with_logits(logits, targets)


def test_every_task_has_losses_and_auto_is_the_first() -> None:
    assert set(NAMES) == set(TASKS)
    assert {task: names[0] for task, names in NAMES.items()} == {
        "segmentation": "bce_dice",
        "multilabel": "bce",
        "multiclass": "cross_entropy",
        "binary": "bce",
        "regression": "mse",
    }


@pytest.mark.parametrize("task", TASKS)
def test_auto_is_the_usual_loss_to_the_bit(task: str) -> None:
    logits, targets = case(task, images=7)
    ours, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found, expected = build_loss(task)(ours, targets), usual(task, other, targets)
    found.backward()
    expected.backward()  # type: ignore[no-untyped-call]
    assert torch.equal(found, expected)
    assert ours.grad is not None
    assert other.grad is not None
    assert torch.equal(ours.grad, other.grad)


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_a_batch_is_the_mean_of_its_images(task: str, name: str) -> None:
    logits, targets = case(task, images=5)
    numbers = {"scale": [1.0, 2.0, 3.0, 4.0]} if task == "regression" else {}
    if task in ("multiclass", "multilabel"):
        numbers = {"class_weights": [0.1, 1.0, 2.0, 7.0]}
    loss = build_loss(task, name, **numbers)  # type: ignore[arg-type]
    single = [float(loss(logits[i : i + 1], targets[i : i + 1])) for i in range(5)]
    assert float(loss(logits, targets)) == pytest.approx(sum(single) / 5, rel=1e-5)
    assert max(single) > min(single)
    uneven = 3 * loss(logits[:3], targets[:3]) + 2 * loss(logits[3:], targets[3:])
    assert float(loss(logits, targets)) == pytest.approx(float(uneven) / 5, rel=1e-5)


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_losses_and_gradients_are_finite_whatever_the_logits(task: str, name: str) -> None:
    options: list[dict[str, float]] = [{}]
    if name == "focal":
        options = [{"gamma": gamma} for gamma in (0.0, 0.3, 1.0, 2.0)]
    for option in options:
        loss = build_loss(task, {name: option})
        for logits, targets in extremes(task):
            leaf = logits.requires_grad_()
            value = loss(leaf, targets)
            value.backward()
            assert torch.isfinite(value), (option, logits, targets)
            assert leaf.grad is not None
            assert torch.isfinite(leaf.grad).all(), (option, logits, targets)
            leaf.grad = None


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_steps_down_the_gradient_lessen_the_loss(task: str, name: str) -> None:
    logits, targets = case(task)
    loss, leaf = build_loss(task, name), logits.clone().requires_grad_()
    first = loss(leaf, targets)
    first.backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0
    assert float(loss(logits - 0.05 * leaf.grad, targets)) < float(first.detach())


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_half_precision_gives_a_single_precision_scalar(task: str, name: str) -> None:
    logits, targets = case(task)
    loss = build_loss(task, name)
    low = loss(logits.bfloat16(), targets)
    assert (low.dtype, low.shape) == (torch.float32, ())
    assert torch.equal(low, loss(logits.bfloat16().float(), targets))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(low, loss(logits.bfloat16(), targets))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("task", "name"), EVERY)
def test_the_same_bits_again_by_deterministic_algorithms(
    task: str, name: str, device: str, request: pytest.FixtureRequest
) -> None:
    before = torch.are_deterministic_algorithms_enabled()
    request.addfinalizer(lambda: torch.use_deterministic_algorithms(before))
    # Without warnings: an algorithm that has no such form raises.
    torch.use_deterministic_algorithms(True)
    logits, targets = (part.to(device) for part in case(task))
    loss = build_loss(task, name).to(device)
    grads = []
    for _ in range(2):
        leaf = logits.clone().requires_grad_()
        loss(leaf, targets).backward()
        grads.append(leaf.grad)
    assert grads[0] is not None
    assert grads[1] is not None
    assert torch.equal(grads[0], grads[1])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"bce": 1, "dice": 1}, {"bce_dice": 1}),
        ({"bce": 0.5, "dice": {"weight": 2}}, {"dice": 2, "bce": 0.5}),
        ({"focal": {"gamma": 0}}, {"bce": 1}),
        ({"focal": {"weight": 3, "gamma": 0, "alpha": 0.5}}, {"bce": 1.5}),
        ("dice", {"dice": {}}),
        ("auto", "bce_dice"),
    ],
)
def test_equal_choices(choice: LossChoice, expected: LossChoice) -> None:
    logits, targets = case("segmentation")
    found, other = (build_loss("segmentation", one)(logits, targets) for one in (choice, expected))
    assert float(found) == pytest.approx(float(other), rel=1e-6)


def test_weights_are_those_of_a_sum() -> None:
    logits, targets = case("segmentation")
    total = build_loss("segmentation", {"lovasz": 0.5, "tversky": {"weight": 2, "alpha": 1}})
    parts = [
        0.5 * build_loss("segmentation", "lovasz")(logits, targets),
        2 * build_loss("segmentation", {"tversky": {"alpha": 1}})(logits, targets),
    ]
    assert float(total(logits, targets)) == pytest.approx(float(sum(parts)), rel=1e-6)


def test_numbers_an_output_move_with_the_loss_but_are_in_no_checkpoint() -> None:
    loss = build_loss("regression", scale=[2.0, 4.0])
    assert [buffer.tolist() for buffer in loss.buffers()] == [[2.0, 4.0]]
    assert [buffer.device.type for buffer in loss.to("meta").buffers()] == ["meta"]
    assert not loss.state_dict()


def test_a_loss_can_be_sent_to_another_process() -> None:
    logits, targets = case("segmentation")
    loss = build_loss("segmentation", {"boundary": {"width": 2}, "focal": 1})
    again = pickle.loads(pickle.dumps(loss))
    assert torch.equal(again(logits, targets), loss(logits, targets))


@pytest.mark.parametrize(
    ("task", "loss", "words"),
    [
        ("segmentation", "dise", ["segmentation has no loss", "dise", "did you mean dice?"]),
        ("multiclass", "bce", ["multiclass has no loss", "auto, cross_entropy, focal"]),
        ("regression", {"mse": 1, "dice": 1}, ["regression has no loss", "mse, l1, huber"]),
        ("landscape", "auto", ["no task of this name", "landscape", "multilabel"]),
        ("segmentation", {"dice": {"gama": 2}}, ["dice has no option 'gama'", "weight"]),
        ("segmentation", {"focal": {"gama": 2}}, ["no option 'gama'", "did you mean gamma?"]),
        ("multiclass", {"focal": {"alpha": 0.5}}, ["no option 'alpha'", "weight, gamma"]),
        ("segmentation", {"focal": {"gamma": -1}}, ["gamma", "found: -1", "0 or more"]),
        ("segmentation", {"focal": {"alpha": 1.5}}, ["alpha", "0 or more, at most 1"]),
        ("segmentation", {"boundary": {"width": 2.5}}, ["width", "a whole number, 1 or more"]),
        ("segmentation", {"boundary": {"width": 0}}, ["width", "a whole number, 1 or more"]),
        ("regression", {"huber": {"delta": 0}}, ["delta of the loss huber", "1e-06 or more"]),
        ("segmentation", {"dice": float("nan")}, ["weight of the loss dice", "found: nan"]),
        ("segmentation", {"dice": -1}, ["weight of the loss dice", "1e-06 or more"]),
        ("segmentation", {"dice": "1"}, ["weight of the loss dice", "1e-06 or more"]),
        ("segmentation", {"dice": True}, ["weight of the loss dice", "1e-06 or more"]),
        ("segmentation", {"dice": 0}, ["weight of the loss dice", "1e-06 or more"]),
        ("segmentation", {"dice": 1e-320}, ["weight of the loss dice", "1e-06 or more"]),
        ("segmentation", {"bce": 1e308}, ["weight of the loss bce", "at most 1e+06"]),
        ("segmentation", {"tversky": {"alpha": 0, "beta": 0}}, ["tversky is 0 for any answer"]),
        ("segmentation", {"focal": {"gamma": 1e300}}, ["gamma", "at most 1e+06"]),
        ("segmentation", {}, ["there is no loss", "bce_dice, bce"]),
    ],
)
def test_what_cannot_be_is_refused(task: str, loss: Any, words: list[str]) -> None:
    with pytest.raises(ParamsError) as caught:
        build_loss(task, loss)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("task", "arguments", "words"),
    [
        ("segmentation", {"label_smoothing": 0.1}, "segmentation takes no label_smoothing"),
        ("regression", {"label_smoothing": 0.1}, "regression takes no label_smoothing"),
        ("multiclass", {"label_smoothing": 1.0}, "label_smoothing is out of range"),
        ("multiclass", {"label_smoothing": -0.1}, "label_smoothing is out of range"),
        ("regression", {"class_weights": [1.0]}, "regression takes no class_weights"),
        ("multiclass", {"scale": [1.0]}, "multiclass takes no scale"),
        ("multiclass", {"class_weights": []}, "class_weights must be finite numbers"),
        ("multiclass", {"class_weights": [1.0, float("inf")]}, "class_weights must be finite"),
        ("multiclass", {"class_weights": [0.0, 0.0]}, "class_weights: out of range"),
        ("binary", {"class_weights": [-1.0]}, "class_weights: out of range"),
        ("regression", {"scale": [1.0, 0.0]}, "scale: out of range"),
    ],
)
def test_invalid_arguments_are_refused(task: str, arguments: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        build_loss(task, **arguments)


@pytest.mark.parametrize(
    ("task", "name"), [("multiclass", "class_weights"), ("multilabel", "class_weights")]
)
@pytest.mark.parametrize("numbers", [[1.0], [1.0, 2.0, 3.0]])
def test_as_many_numbers_as_outputs(task: str, name: str, numbers: list[float]) -> None:
    loss = build_loss(task, class_weights=numbers)
    with pytest.raises(ParamsError, match=f"{name} must have one number an output") as caught:
        loss(*case(task))
    assert f"found: {len(numbers)}" in str(caught.value)
    assert "expected: 4" in str(caught.value)


def test_as_many_scales_as_values() -> None:
    with pytest.raises(ParamsError, match="scale must have one number an output"):
        build_loss("regression", scale=[1.0])(*case("regression"))


def test_classes_by_hand() -> None:
    targets = np.array([0, 0, 0, 1, 2, 2])
    assert balanced_weights("multiclass", targets, classes=3) == pytest.approx(
        [6 / (3 * 3), 6 / (3 * 1), 6 / (3 * 2)]
    )
    assert balanced_weights("multiclass", targets) == balanced_weights(
        "multiclass", targets, classes=3
    )


def test_labels_by_hand() -> None:
    targets = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], np.float32)
    assert balanced_weights("multilabel", targets) == pytest.approx([1 / 3, 3.0])
    assert balanced_weights("binary", targets[:, 1:], classes=2) == pytest.approx([3.0])


def test_classes_have_the_same_total_weight_and_images_weigh_1_on_average() -> None:
    targets = np.random.default_rng(1).choice(4, size=500, p=[0.7, 0.2, 0.07, 0.03])
    weights = np.array(balanced_weights("multiclass", targets, classes=4))
    each = weights[targets]
    shares = [each[targets == k].sum() for k in range(4)]
    assert shares == pytest.approx([125.0] * 4)
    assert each.mean() == pytest.approx(1)
    loss = build_loss("multiclass", class_weights=weights.tolist())
    blind = torch.zeros(500, 4)
    assert float(loss(blind, torch.from_numpy(targets))) == pytest.approx(np.log(4), rel=1e-5)


def test_yes_and_no_have_the_same_total_weight() -> None:
    targets = (np.random.default_rng(1).random((300, 3)) < [0.1, 0.5, 0.9]).astype(np.float32)
    loss = build_loss("multilabel", class_weights=balanced_weights("multilabel", targets))
    logits = torch.zeros(300, 3, requires_grad=True)
    loss(logits, torch.from_numpy(targets)).backward()
    # What the yes pull up, the no pull down.
    assert logits.grad is not None
    assert logits.grad.sum(0).tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_class_without_an_image_is_refused() -> None:
    with pytest.raises(DataError, match="no training image shows a class") as caught:
        balanced_weights("multiclass", np.array([0, 2, 2]), classes=5)
    for words in ("none for output 1, 3, 4, from 0", "a list of numbers, or to null"):
        assert words in str(caught.value)


@pytest.mark.parametrize("value", [0, 1])
def test_a_label_that_all_or_none_have_is_refused(value: int) -> None:
    targets = np.array([[1, value], [0, value]])
    with pytest.raises(DataError, match="a yes or a no of a label") as caught:
        balanced_weights("multilabel", targets)
    assert "none for output 1" in str(caught.value)


@pytest.mark.parametrize("task", ["segmentation", "regression"])
def test_only_labels_are_balanced(task: str) -> None:
    with pytest.raises(ParamsError, match=f"{task} has no classes to balance"):
        balanced_weights(task, np.zeros((2, 1)))
