"""Predictions are averaged over networks, streamed, and the same in any batch size."""

import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.errors import ArtifactError, ParamsError, ResourceError
from darkroom.models.build import MEAN, STD, build_network, normalise
from darkroom.models.device import choose_device, prediction_dtype
from darkroom.prediction.networks.predict import predict
from darkroom.prediction.networks.tiles import Tiles
from darkroom.prediction.networks.tta import D4, TRANSFORMS, TTA
from darkroom.store.loader import Batch
from tests.support.drawn import batches, colours, discs

CPU = torch.device("cpu")


def test_masks_are_averaged_as_probabilities(tmp_path: Path) -> None:
    store = discs(tmp_path, 3)
    nets = [build_network("unet", outputs=1, seed=seed, width=2, depth=1) for seed in (1, 2)]
    (one,), (two,), (both,) = (
        list(predict(some, batches(store), "segmentation", CPU))
        for some in (nets[:1], nets[1:], nets)
    )
    ids, average, originals = both
    assert ids == ["000", "001", "002"]
    assert average.dtype == np.float32
    assert average.shape == (3, 1, 32, 32)
    assert originals.tolist() == [[32, 32]] * 3
    assert np.allclose(average, (one[1] + two[1]) / 2, atol=1e-6)
    assert not np.allclose(one[1], two[1], atol=1e-3)


def test_classes_add_up_to_one_in_any_batch_size(tmp_path: Path) -> None:
    store = colours(tmp_path, 5)
    net = build_network("resnet18", outputs=3, seed=1)
    small, large = (
        np.concatenate(
            [p for _, p, _ in predict([net], batches(store, batch_size=n), "multiclass", CPU)]
        )
        for n in (2, 5)
    )
    assert small.shape == (5, 3)
    assert np.allclose(small.sum(1), 1, atol=1e-6)
    assert np.allclose(small, large, atol=1e-5)


def test_batches_are_read_one_at_a_time(tmp_path: Path) -> None:
    batches_read = 0

    def counted() -> Iterator[Batch]:
        nonlocal batches_read
        for batch in batches(discs(tmp_path, 6), batch_size=2):
            batches_read += 1
            yield batch

    net = build_network("unet", outputs=1, seed=1, width=2, depth=1)
    predictions = predict([net], counted(), "segmentation", CPU)
    next(predictions)
    assert batches_read == 1


def test_a_network_in_training_mode_predicts_in_eval_mode(tmp_path: Path) -> None:
    net = build_network("unet", outputs=1, seed=1, width=2, depth=1).train()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    list(predict([net], batches(discs(tmp_path, 2)), "segmentation", CPU))
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_each_network_computes_in_the_precision_given_for_it(tmp_path: Path) -> None:
    kinds = []

    class Layer(nn.Conv2d):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = super().forward(images)
            kinds.append(logits.dtype)
            return logits

    nets = [Layer(3, 1, 1), Layer(3, 1, 1)]
    dtypes = [torch.bfloat16, torch.float32]
    list(predict(nets, batches(discs(tmp_path, 2)), "segmentation", CPU, dtypes=dtypes))
    assert kinds == dtypes


@pytest.mark.parametrize(
    ("precision", "trained_on", "device", "capability", "expected"),
    [
        ("bf16", "cuda", "cuda", (9, 0), torch.bfloat16),
        ("bf16", "cuda", "cuda", (7, 5), torch.float32),
        ("fp16", "cuda", "cuda", (7, 5), torch.float16),
        ("fp16", "cuda", "cuda", (9, 0), torch.float16),
        ("float32", "cuda", "cuda", (9, 0), torch.float32),
        ("float32", "cpu", "cuda", (9, 0), torch.float32),
        ("bf16", "cpu", "cuda", (9, 0), torch.float32),
        ("bf16", "cpu", "cpu", None, torch.bfloat16),
        ("bf16", "cuda", "cpu", None, torch.float32),
        ("fp16", "cuda", "mps", None, torch.float32),
    ],
)
def test_a_network_is_used_in_the_precision_of_its_training(
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    trained_on: str,
    device: str,
    capability: tuple[int, int] | None,
    expected: torch.dtype,
) -> None:
    """It was bfloat16 on any GPU, also for a regression trained in float32."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert prediction_dtype(precision, trained_on, torch.device(device)) == expected


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(ResourceError, match=r"no cuda that torch can use[\s\S]*one of cpu"):
        choose_device("cuda")
    with pytest.raises(ParamsError, match=r"found: gpu[\s\S]*auto, cpu, cuda, mps"):
        choose_device("gpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


@pytest.mark.parametrize("task", ["segmentation", "multilabel", "regression"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_outputs_that_are_not_finite_are_refused(tmp_path: Path, task: str, value: float) -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = images[:, :1] if task == "segmentation" else images.mean((2, 3))
            logits[1:3] = value
            return logits

    predictions = predict([Broken()], batches(discs(tmp_path, 4)), task, CPU)
    with pytest.raises(ArtifactError, match="outputs are infinite or not a number") as caught:
        next(predictions)
    assert "found: 2 of 4 images of a batch: 001, 002\n" in str(caught.value)
    assert "to do: train again, with a lower train.lr" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB"), "CUDA out of memory. Tried 2"),
        (MemoryError(), "MemoryError"),
        (None, "DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_says_what_to_lower(
    tmp_path: Path, fault: Exception | None, words: str
) -> None:
    class Greedy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if fault is not None:
                raise fault
            return images + torch.empty(1 << 50)

    with pytest.raises(ResourceError, match="there is not enough memory to predict") as caught:
        next(predict([Greedy()], batches(discs(tmp_path, 2)), "segmentation", CPU))
    assert words in str(caught.value)
    assert "to do: lower predict.batch_size" in str(caught.value)


def test_other_errors_of_a_network_are_not_reported_as_a_lack_of_memory(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        next(predict([nn.Linear(7, 1)], batches(discs(tmp_path, 2)), "segmentation", CPU))


class Pointwise(nn.Module):
    """A pixel's logit is a function of that pixel."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1] * 2 + images[:, 1:2] - images[:, 2:]


class Even(nn.Module):
    """A network that looks around itself, to the left as to the right: a flip changes nothing."""

    def __init__(self, *, labels: bool = False) -> None:
        super().__init__()
        self.labels = labels
        weight = torch.randn(1, 3, 3, 3, generator=torch.Generator().manual_seed(1))
        self.weight = nn.Parameter(weight + weight.flip(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = nn.functional.conv2d(images, self.weight, padding=1)
        return logits.mean((2, 3)).repeat(1, 2) if self.labels else logits


class Corner(nn.Module):
    """Logits that tell where a pixel lies in what the network sees: no view is like another."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[2:]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        return (y / height - x / width).expand(len(images), 1, height, width) + images[:, :1]


def predicted(net: nn.Module, loader: Iterable[Batch], task: str, tta: TTA) -> np.ndarray:
    return np.concatenate([p for _, p, _ in predict([net], loader, task, CPU, tta=tta)])


ALL = tuple(TRANSFORMS)


@pytest.mark.parametrize(
    "tta",
    [
        TTA(transforms=ALL),
        TTA(tiles=Tiles(12, 20)),
        TTA(transforms=("rot90", "hflip"), tiles=Tiles(9, 14, 0.5)),
    ],
)
def test_a_pointwise_network_predicts_the_same_with_any_tta(tmp_path: Path, tta: TTA) -> None:
    store = discs(tmp_path, 3)
    plain = predicted(Pointwise(), batches(store), "segmentation", TTA())
    assert np.ptp(plain) > 0.5
    predictions = predicted(Pointwise(), batches(store), "segmentation", tta)
    assert np.allclose(predictions, plain, atol=1e-6)


@pytest.mark.parametrize("task", ["segmentation", "multilabel", "multiclass", "regression"])
def test_a_flip_of_an_even_network_changes_nothing(tmp_path: Path, task: str) -> None:
    store, net = discs(tmp_path, 3), Even(labels=task != "segmentation")
    plain = predicted(net, batches(store), task, TTA())
    assert np.allclose(
        predicted(net, batches(store), task, TTA(transforms=("hflip",))), plain, atol=1e-6
    )
    if task == "segmentation":
        turned = predicted(net, batches(store), task, TTA(transforms=("rot90",)))
        assert not np.allclose(turned, plain, atol=1e-3)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_is_applied_and_undone(tmp_path: Path, name: str) -> None:
    """The mean of the plain view and another, each computed by hand."""
    store = discs(tmp_path, 2)
    (batch,) = batches(store)
    images = normalise(batch.images, MEAN, STD)
    transform, net = TRANSFORMS[name], Corner()
    other = transform.undo(torch.sigmoid(net(transform.apply(images))))
    expected = (torch.sigmoid(net(images)) + other) / 2
    predictions = predicted(net, [batch], "segmentation", TTA(transforms=(name,)))
    assert np.allclose(predictions, expected.numpy(), atol=1e-6)


class Pixel(nn.Module):
    """Says yes where the first pixel that it sees is set: of masks there, of labels at all."""

    def __init__(self, *, labels: bool) -> None:
        super().__init__()
        self.labels = labels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = torch.full_like(images[:, :1], -100)
        logits[..., 0, 0] = 200 * images[:, :1, 0, 0] - 100
        return logits.amax((2, 3)) if self.labels else logits


def predicted_of(net: nn.Module, task: str, images: torch.Tensor, tta: TTA = TTA(D4)) -> np.ndarray:  # noqa: B008
    """Return the predictions of images uint8 (N, 3, H, W), which the network sees as 0 to 1."""
    ids = [str(number) for number in range(len(images))]
    batch = Batch(ids, images, None, torch.ones(len(images), 2, dtype=torch.int64))
    (found,) = predict([net], [batch], task, CPU, mean=(0, 0, 0), std=(1, 1, 1), tta=tta)
    return found.probabilities


def test_d4_sees_each_corner_twice_and_puts_it_back() -> None:
    """Of 2 x 3 pixels: each corner is seen first in two of the eight views, the others in none."""
    image = torch.tensor([[255, 255, 0], [0, 255, 255]], dtype=torch.uint8).expand(1, 3, 2, 3)
    found = predicted_of(Pixel(labels=False), "segmentation", image)
    assert found[0, 0] == pytest.approx(np.array([[0.25, 0, 0], [0, 0, 0.25]]), abs=1e-6)
    assert predicted_of(Pixel(labels=True), "multilabel", image) == pytest.approx(0.5)
    plain = predicted_of(Pixel(labels=False), "segmentation", image, TTA())
    assert plain[0, 0] == pytest.approx(np.array([[1, 0, 0], [0, 0, 0]]), abs=1e-6)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_with_d4_a_turned_image_has_turned_masks_and_the_same_labels(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 6, 9), dtype=torch.uint8, generator=generator)
    turn = TRANSFORMS[name].apply
    expected = turn(torch.from_numpy(predicted_of(Corner(), "segmentation", images))).numpy()
    found = predicted_of(Corner(), "segmentation", turn(images))
    assert found == pytest.approx(expected, abs=1e-6)
    weights = torch.randn(3, 9, 9, generator=generator)

    class Matched(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            height, width = pixels.shape[2:]
            return (pixels * weights[:, :height, :width]).mean((2, 3))

    labels = predicted_of(Matched(), "multilabel", images)
    assert np.ptp(labels) > 0.01
    assert predicted_of(Matched(), "multilabel", turn(images)) == pytest.approx(labels, abs=1e-5)


def test_labels_are_averaged_over_transforms(tmp_path: Path) -> None:
    class Left(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[..., : images.shape[-1] // 2].mean((2, 3))

    (batch,) = batches(discs(tmp_path, 4))
    images = normalise(batch.images, MEAN, STD)
    both = torch.sigmoid(Left()(images)) + torch.sigmoid(Left()(images.flip(3)))
    predictions = predicted(Left(), [batch], "multilabel", TTA(transforms=("identity", "hflip")))
    assert np.allclose(predictions, both.numpy() / 2, atol=1e-6)


def test_networks_transforms_and_scales_are_one_average(tmp_path: Path) -> None:
    store = discs(tmp_path, 3, side=64)
    nets = [build_network("unet", outputs=1, seed=seed, width=2, depth=1) for seed in (1, 2)]
    tta = TTA(transforms=("vflip",), scales=(0.5, 1.0))
    (together,) = predict(nets, batches(store), "segmentation", CPU, tta=tta)
    apart = [
        next(predict([net], batches(store), "segmentation", CPU, tta=one))[1]
        for net in nets
        for one in (
            TTA(transforms=("vflip",), scales=(0.5,)),
            TTA(transforms=("vflip",), scales=(1.0,)),
        )
    ]
    assert together[1].shape == (3, 1, 64, 64)
    assert np.allclose(together[1], np.mean(apart, axis=0), atol=1e-6)
    assert not np.allclose(apart[0], apart[1], atol=1e-3)


def test_other_scales_are_predicted_and_restored_to_the_stored_size(tmp_path: Path) -> None:
    class Sizes(Pointwise):
        sizes: ClassVar[list[tuple[int, int]]] = []

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.sizes.append((images.shape[2], images.shape[3]))
            return super().forward(images)

    store = discs(tmp_path, 2, side=70)
    predictions = predicted(Sizes(), batches(store), "segmentation", TTA(scales=(1.0, 1.5, 0.2)))
    assert Sizes.sizes == [(70, 70), (96, 96), (32, 32)]
    assert predictions.shape == (2, 1, 70, 70)
    plain = predicted(Pointwise(), batches(store), "segmentation", TTA())
    assert 0.1 < np.corrcoef(predictions.ravel(), plain.ravel())[0, 1] < 0.999


def test_tiles_bound_what_a_network_sees(tmp_path: Path) -> None:
    shapes = []

    class Seen(Pointwise):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            shapes.append(tuple(images.shape))
            return super().forward(images)

    store = discs(tmp_path, 3, side=50)
    predicted(Seen(), batches(store, batch_size=2), "segmentation", TTA(tiles=Tiles(32, 40)))
    assert shapes == [(2, 3, 32, 40)] * 6  # 4 tiles a picture, also of the last, which is alone


def test_without_tta_the_output_is_that_of_the_network_to_the_bit(tmp_path: Path) -> None:
    """One network, one view: to the bit what it says of the picture; two: the mean of the two."""
    store = discs(tmp_path, 3)
    nets = [build_network("unet", outputs=1, seed=seed, width=2, depth=2).eval() for seed in (1, 2)]
    (batch,) = batches(store)
    images = normalise(batch.images, MEAN, STD)
    with torch.inference_mode():
        one, two = (torch.sigmoid(n.to(memory_format=torch.channels_last)(images)) for n in nets)
    (predictions,) = predict(nets[:1], [batch], "segmentation", CPU)
    assert np.array_equal(predictions[1], one.numpy())
    (predictions,) = predict(nets, [batch], "segmentation", CPU)
    assert np.array_equal(predictions[1], ((one + two) / 2).numpy())


@pytest.mark.parametrize(
    "tta", [TTA(transforms=("hflip",)), TTA(scales=(0.5,)), TTA(tiles=Tiles(12, 12))]
)
def test_an_output_that_is_not_finite_is_found_with_any_tta(tmp_path: Path, tta: TTA) -> None:
    class Broken(Pointwise):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = super().forward(images)
            bright = images.flatten(1).amax(1) > 100
            return logits.masked_fill(bright.view(-1, 1, 1, 1), torch.inf)

    (batch,) = batches(discs(tmp_path, 3))
    predictions = predict(
        [Broken()], [batch], "segmentation", CPU, std=(0.001, 0.001, 0.001), tta=tta
    )
    with pytest.raises(ArtifactError, match="outputs are infinite or not a number"):
        next(predictions)


@pytest.mark.parametrize(
    ("tta", "key", "words"),
    [
        (TTA(scales=(1.0, 0.5)), "scales", "found: (1.0, 0.5)"),
        (TTA(tiles=Tiles(32, 32)), "tiles", "found: Tiles(height=32, width=32, overlap=0.25)"),
    ],
)
@pytest.mark.parametrize("task", ["multilabel", "multiclass", "binary", "regression"])
def test_scales_and_tiles_are_for_masks(tta: TTA, key: str, words: str, task: str) -> None:
    with pytest.raises(ParamsError) as fault:
        predict([Even(labels=True)], [], task, CPU, tta=tta)  # before the first batch
    assert f"predict.{key} is for masks, and the task is {task}" in str(fault.value)
    assert words in str(fault.value)
    assert f"to do: remove {key} from the predict section" in str(fault.value)


def test_invalid_transforms_and_scales_are_refused() -> None:
    for transforms in (("hflip", "upside_down"), ("hflip", "hflip")):
        with pytest.raises(ParamsError, match="an unknown transform, or one twice") as fault:
            TTA(transforms=transforms)
        assert f"found: {', '.join(transforms)}" in str(fault.value)
        assert "expected: some of identity, hflip, vflip, rot90," in str(fault.value)
    for scales in ((), (0.0,), (1.0, 1.0)):
        with pytest.raises(ParamsError, match=r"predict\.scales is invalid"):
            TTA(scales=scales)


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    """What a batch needed is free before the next but one: nothing of it is kept."""
    alive = []

    def new_batches() -> Iterator[Batch]:
        for number in range(6):
            images = torch.full((2, 3, 32, 32), number, dtype=torch.uint8)
            images = images.contiguous(memory_format=torch.channels_last)
            alive.append(weakref.ref(images))
            yield Batch([f"{number}a", f"{number}b"], images, None, torch.zeros(2, 2).long())

    outputs = []
    for _, predictions, _ in predict(
        [Pointwise()], new_batches(), "segmentation", CPU, tta=TTA(ALL, (1.0, 0.5), Tiles(12, 12))
    ):
        outputs.append(weakref.ref(predictions))
        assert sum(one() is not None for one in alive) <= 2
        assert sum(one() is not None for one in outputs) <= 2
    assert len(outputs) == 6
