"""What follows from the train section alone."""

from darkroom.params.train import FitConfig


def test_a_backbone_is_frozen_until_its_epoch() -> None:
    assert not FitConfig(epochs=1, lr=1).is_frozen(0)
    always = FitConfig(epochs=100, lr=1, freeze="backbone")
    assert (always.is_frozen(99), always.frozen_epochs) == (True, 100)
    thawing = FitConfig(epochs=5, lr=1, freeze="backbone", unfreeze_epoch=3)
    assert [thawing.is_frozen(epoch) for epoch in range(4)] == [True, True, False, False]
