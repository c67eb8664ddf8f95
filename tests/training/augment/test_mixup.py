"""Mixed batches: what each pixel and target must be, and that only the seed decides."""

import numpy as np
import pytest
import torch
from torch import Tensor

from darkroom.errors import ParamsError
from darkroom.tasks.losses.build import build_loss
from darkroom.tasks.losses.choice import NAMES
from darkroom.tasks.table import TASKS
from darkroom.training.augment.mixup import ONE, Mixup

BOTH = Mixup(mixup=1.0, cutmix=1.0, classes=5)


def pictures(count: int = 8, height: int = 12, width: int = 10) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (count, height, width, 3), generator=rng, dtype=torch.uint8)
    return pixels.permute(0, 3, 1, 2)


def flat(count: int, height: int = 12, width: int = 10) -> Tensor:
    """Return pictures each of a grey of its own."""
    greys = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)
    return greys.expand(count, 3, height, width).contiguous()


def test_only_the_seed_decides() -> None:
    images, classes = pictures(), torch.arange(8) % 5
    first = BOTH(images, classes, 3)
    torch.manual_seed(9)
    np.random.default_rng(9).random()
    again = BOTH(images.clone(), classes.clone(), 3)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for seed in (0, 4, 2**64 - 1):
        other = BOTH(images, classes, seed)
        assert not torch.equal(first[0], other[0])
        assert not torch.equal(first[1], other[1])


def test_the_generators_of_the_process_and_the_inputs_stay() -> None:
    images, classes = pictures(), torch.arange(8) % 5
    before, torchs, numpys = images.clone(), torch.get_rng_state(), np.random.get_state()
    BOTH(images, classes, 3)
    assert torch.equal(images, before)
    assert classes.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert torch.equal(torch.get_rng_state(), torchs)
    assert str(np.random.get_state()) == str(numpys)


def test_dtype_shape_range_and_order_in_memory() -> None:
    images = pictures()
    mixed, soft = BOTH(images, torch.arange(8) % 5, 3)
    assert (mixed.dtype, mixed.shape) == (torch.uint8, images.shape)
    assert mixed.stride() == images.stride()
    assert (soft.dtype, soft.shape) == (torch.float32, (8, 5))
    assert torch.allclose(soft.sum(1), torch.ones(8), atol=1e-6)
    assert float(soft.min()) >= 0
    plain = BOTH(images.contiguous(), torch.arange(8) % 5, 3)[0]
    assert plain.is_contiguous()
    assert torch.equal(plain, mixed)


def test_mixup_is_a_weighted_mean_of_pixels_and_targets() -> None:
    images = pictures(height=64, width=50)
    mixup = Mixup(mixup=0.8)
    plan = mixup.plan(8, 64, 50, 11)
    mixed, soft = mixup(images, torch.eye(8), 11)
    pixels = images.numpy().astype(np.float64)
    shares = (plan.shares / ONE)[:, None, None, None]
    expected = shares * pixels + (1 - shares) * pixels[plan.partners]
    assert np.abs(mixed.numpy() - expected).max() <= 0.5
    own = np.diag(plan.shares / ONE)
    np.testing.assert_allclose(
        soft.numpy(), own + (np.eye(8) - own) @ np.eye(8)[plan.partners], atol=1e-6
    )
    assert 0 < soft.diagonal().min() < 1


def test_cutmix_targets_are_the_areas_that_are_seen() -> None:
    images, mixup = flat(200), Mixup(cutmix=1.0)
    mixed, soft = mixup(images, torch.eye(200), 5)
    seen = torch.stack([(mixed[:, 0] == grey).float().mean((1, 2)) for grey in range(200)], dim=1)
    assert torch.allclose(seen, soft, atol=1e-6)
    # Boxes at the border are cut off, so that many areas are not what was drawn.
    assert len(set(soft.diagonal().tolist())) > 20


def test_cutmix_puts_one_box_of_the_partner_in_its_own_place() -> None:
    images, mixup = pictures(count=50), Mixup(cutmix=0.7)
    plan = mixup.plan(50, 12, 10, 2)
    mixed, _ = mixup(images, torch.eye(50), 2)
    expected = images.clone()
    for i, (top, bottom, left, right) in enumerate(plan.boxes):
        assert 0 <= top <= bottom <= 12
        assert 0 <= left <= right <= 10
        partner = images[plan.partners[i]]
        expected[i, :, top:bottom, left:right] = partner[:, top:bottom, left:right]
    assert torch.equal(mixed, expected)


def test_both_are_as_likely() -> None:
    plan = BOTH.plan(4000, 32, 32, 1)
    cut = plan.shares == ONE
    assert cut.mean() == pytest.approx(0.5, abs=0.03)
    areas = (plan.boxes[:, 1] - plan.boxes[:, 0]) * (plan.boxes[:, 3] - plan.boxes[:, 2])
    assert not areas[~cut].any()
    assert areas[cut].mean() > 200


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_their_beta(alpha: float) -> None:
    shares = Mixup(mixup=alpha).plan(20000, 8, 8, 1).shares / ONE
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.04)


def test_boxes_have_the_drawn_area_where_they_are_whole() -> None:
    # So great an alpha draws one half, always.
    boxes = Mixup(cutmix=1e9).plan(4000, 400, 300, 1).boxes
    sides = np.stack([boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]], axis=1) / (400, 300)
    whole = (boxes[:, [0, 2]] > 0).all(axis=1) & (boxes[:, [1, 3]] < (400, 300)).all(axis=1)
    assert whole.sum() > 200
    # Of the picture's own proportions.
    np.testing.assert_allclose(sides[whole], np.sqrt(0.5), atol=0.002)
    assert sides[~whole].prod(axis=1).min() < 0.2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_mixes_to_the_same_bits() -> None:
    images, classes = pictures(height=64, width=50), torch.arange(8) % 5
    here, there = BOTH(images, classes, 3), BOTH(images.cuda(), classes.cuda(), 3)
    assert all(torch.equal(a, b.cpu()) for a, b in zip(here, there, strict=True))
    assert there[0].stride() == images.stride()


def test_labels_and_classes_soften_alike() -> None:
    images, classes = pictures(), torch.arange(8) % 5
    of_classes = BOTH(images, classes, 3)[1]
    of_rows = BOTH(images, torch.nn.functional.one_hot(classes, 5), 3)[1]
    assert torch.equal(of_classes, of_rows)


@pytest.mark.parametrize("mixup", [Mixup(), Mixup(classes=5)])
def test_nothing_is_mixed_with_alphas_of_0(mixup: Mixup) -> None:
    images = pictures()
    mixed, soft = mixup(images, torch.eye(8), 1)
    assert not mixup
    assert torch.equal(mixed, images)
    assert torch.equal(soft, torch.eye(8))


@pytest.mark.parametrize("alpha", [1e-300, 1e-3, 1e3])
@pytest.mark.parametrize("count", [1, 2])
def test_odd_alphas_and_small_batches(alpha: float, count: int) -> None:
    mixup = Mixup(mixup=alpha, cutmix=alpha)
    for seed in range(20):
        mixed, soft = mixup(flat(count), torch.eye(count), seed)
        assert torch.allclose(soft.sum(1), torch.ones(count))
        if count == 1:
            assert torch.equal(mixed, flat(1))


def test_losses_and_metrics_take_mixed_targets() -> None:
    mixed = BOTH(pictures(), torch.arange(8) % 5, 3)[1]
    logits = torch.log(mixed + 1e-3)
    for name in NAMES["multiclass"]:
        assert torch.isfinite(build_loss("multiclass", name)(logits, mixed))
    right, count = TASKS["multiclass"].monitor.sum_and_count(torch.softmax(logits, 1), mixed)
    assert (int(right), count) == (8, 8)


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_invalid_alphas_are_refused(alpha: float) -> None:
    with pytest.raises(ParamsError, match="mixup is out of range"):
        Mixup(mixup=alpha)
    with pytest.raises(ParamsError, match="cutmix is out of range"):
        Mixup(cutmix=alpha)


@pytest.mark.parametrize("targets", [torch.zeros(8, dtype=torch.int64), torch.zeros(8, 4, 4)])
def test_classes_must_be_counted_and_masks_are_not_mixed(targets: Tensor) -> None:
    with pytest.raises(ValueError, match=r"give \(N, K\), or \(N,\) and the number of classes"):
        Mixup(mixup=1.0)(pictures(), targets, 1)


def test_a_box_of_a_mask_goes_with_the_box_of_its_picture() -> None:
    """CutMix of masks: each pixel has the mask of the picture that it is of, exactly."""
    count, height, width = 8, 12, 10
    masks = torch.arange(count, dtype=torch.uint8).bitwise_and(1).view(-1, 1, 1, 1)
    masks = torch.cat([masks, 1 - masks, masks], 1).expand(count, 3, height, width).contiguous()
    cutmix = Mixup(cutmix=1.0)
    shares = []
    for seed in range(20):
        images, mixed = cutmix(flat(count, height, width), masks, seed)
        assert mixed.dtype == torch.uint8
        assert torch.equal(mixed[:, 0], images[:, 0] & 1)  # odd greys are of class 0 and 2
        assert torch.equal(mixed[:, 1], 1 - mixed[:, 0])
        assert torch.equal(mixed[:, 2], mixed[:, 0])
        plan = cutmix.plan(count, height, width, seed)
        own = (images[:, 0] == torch.arange(count).view(-1, 1, 1)).float().mean((1, 2))
        alone = plan.partners != np.arange(count)
        expected = plan.own_shares(height, width)
        assert own.numpy()[alone] == pytest.approx(expected[alone])
        shares += expected.tolist()
    assert 0.45 < np.mean(shares) < 0.75  # Beta(1, 1) has 0.5; the picture's edge cuts boxes off


def test_masks_are_never_added_up() -> None:
    masks = torch.zeros((8, 1, 12, 10), dtype=torch.uint8)
    with pytest.raises(ValueError, match="mixup of masks would leave pixels between two classes"):
        BOTH(pictures(), masks, 1)


def test_a_share_of_the_images_stays_as_it_is() -> None:
    some = Mixup(mixup=1.0, cutmix=1.0, p=0.25)
    targets = torch.rand(400, 3, generator=torch.Generator().manual_seed(0))
    targets[::7, 1] = torch.nan
    images = pictures(400)
    mixed, soft = some(images, targets, 3)
    height, width = images.shape[2:]
    plan = some.plan(400, height, width, 3)
    same = torch.from_numpy(plan.partners == np.arange(400))
    assert 0.70 < same.float().mean() < 0.80
    assert torch.equal(mixed[same], images[same])
    assert torch.equal(soft[same].nan_to_num(9), targets[same].nan_to_num(9))
    assert not Mixup(mixup=1.0, p=0.0)
