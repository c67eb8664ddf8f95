"""The `train` section: how the network learns."""

from typing import Annotated, Any, Literal

from pydantic import Field

from darkroom.params.section import Accelerator, Number, Positive, Section, Share

# fmt: off
LossName = Literal[
    "bce", "dice", "bce_dice", "focal", "lovasz", "tversky", "boundary",  # masks
    "cross_entropy",  # classes; labels have bce and focal
    "mse", "l1", "huber",  # values
]
# fmt: on
OptimizerName = Literal["adamw", "adam", "sgd", "rmsprop", "lion", "nadamw", "lamb", "muon"]
ScheduleName = Literal["one_cycle", "cosine", "plateau", "constant"]
# fmt: off
Preset = Literal[
    "none", "flip", "light", "strong", "notes", "random_resized", "elastic", "trivial", "rand",
]
# fmt: on


_PATIENCE = 10

# As in darkroom.tasks.losses.choice: beyond these numbers a sum loses one of its terms, or all.
Weight = Annotated[Number, Field(ge=1e-6, le=1e6)]


class LossOptions(Section):
    """One loss of several, or with options."""

    weight: Weight = Field(1.0, description="Its weight in the sum.")
    gamma: Number | None = Field(None, ge=0, le=10, description="focal: how easy pixels fade.")
    alpha: Share | None = Field(
        None, description="focal: the weight of what is present; tversky: of false positives."
    )
    beta: Share | None = Field(None, description="tversky: the weight of false negatives.")
    width: int | None = Field(
        None, ge=1, le=1024, description="boundary: how far the border reaches, px."
    )
    strength: Weight | None = Field(None, description="boundary: what the border adds.")
    delta: Weight | None = Field(None, description="huber: where square turns to absolute.")


class FitConfig(Section):
    """The part of the section that `darkroom.training.fit.fit` takes, as it stands."""

    epochs: int = Field(ge=1, le=10000, description="Passes over the training images.")
    select: Literal["last", "best", "smoothed"] = Field(
        "best",
        description="The epoch whose weights are kept; best: by the validation metric; smoothed: "
        "by its mean over five epochs, which one lucky epoch does not win.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=10000,
        description="Epochs without a better one before stopping; null: 10, and none where select "
        "is last.",
    )
    lr: Number = Field(gt=0, le=10, description="Peak learning rate.")
    weight_decay: Number = Field(0.01, ge=0, le=10, description="Weight decay.")
    optimizer: OptimizerName = Field("adamw", description="What turns gradients into steps.")
    momentum: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.9, description="Of sgd (Nesterov's), rmsprop and muon; the first beta of the others."
    )
    schedule: ScheduleName = Field(
        "one_cycle", description="How the rate changes over the training."
    )
    warmup: Share | None = Field(
        None,
        description="Share of the steps in which the rate rises; null: 0.3 for one_cycle, 0.05 for "
        "cosine, else 0.",
    )
    rates: dict[str, Annotated[Number, Field(gt=0, le=100)]] = Field(
        {},
        description="Factors on lr by layer group: backbone, head, or a layer's name such as "
        "layer4.",
    )
    layer_decay: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        None,
        description="timm: each layer's rate, as a share of that of the layer after it; null: all "
        "layers learn at one rate.",
    )
    freeze: Literal["none", "backbone"] = Field(
        "none", description="`backbone`: only the head learns."
    )
    unfreeze_epoch: int | None = Field(
        None, ge=2, description="The epoch, from 1, in which a frozen backbone begins to learn."
    )
    accumulate: int = Field(1, ge=1, le=4096, description="Batches whose gradients make a step.")
    clip: Positive | None = Field(None, description="The greatest norm of a step's gradient.")
    ema: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        None, description="Decay of a running mean of the weights, which is then what is kept."
    )
    average: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        None,
        description="The last share of the steps whose weights are averaged, all alike (SWA); "
        "the mean is then what is kept.",
    )
    accelerator: Accelerator = "auto"
    precision: Literal["auto", "float32", "bf16", "fp16"] = Field(
        "auto",
        description="Of products; auto: float32, but on an NVIDIA GPU bf16, or fp16 where the GPU "
        "lacks bf16; regression: float32.",
    )
    deterministic: bool = Field(
        True,
        description="On a GPU: repeat to the bit; false: other bits each time, faster over the "
        "decoders that upsample bilinearly (fpn, deeplabv3plus, segformer, a bilinear unet).",
    )
    channels_last: bool = Field(True, description="Store a pixel's channels side by side.")
    compile: bool = Field(False, description="Let torch.compile fuse the network's layers.")
    mix_until: Share = Field(
        1.0, description="The share of the epochs after which no images are mixed or pasted."
    )
    checkpoint_steps: int | None = Field(
        None, ge=1, description="Also save what a kill would lose every so many steps."
    )

    def is_frozen(self, epoch: int) -> bool:
        """Return whether the backbone is frozen in an epoch, counted from 0."""
        return epoch < self.frozen_epochs

    @property
    def frozen_epochs(self) -> int:
        """In how many epochs, the first ones, the backbone is frozen."""
        if self.freeze == "none":
            return 0
        thawed = self.epochs if self.unfreeze_epoch is None else self.unfreeze_epoch - 1
        return min(thawed, self.epochs)

    @property
    def compares_epochs(self) -> bool:
        """Whether a validation metric has a say: in what is kept, or in the learning rate."""
        return self.select != "last" or self.schedule == "plateau"

    @property
    def most_idle_epochs(self) -> int | None:
        """Epochs in a row without a better one, after which training stops; None: it does not."""
        if self.select == "last":
            return None
        return _PATIENCE if self.patience is None else self.patience

    @property
    def epoch_of_patience(self) -> int:
        """The epoch, from 1, that patience counts from: a backbone thaws, or an average begins."""
        averaged = 1 if self.average is None else int(self.epochs * (1 - self.average)) + 1
        return max(self.unfreeze_epoch or 1, averaged)

    @property
    def mixed_epochs(self) -> int:
        """In how many epochs, the first ones, images are mixed or pasted."""
        return round(self.mix_until * self.epochs)

    def steps_per_epoch(self, batches: int) -> int:
        """Return the optimizer steps in an epoch of so many batches."""
        return -(-batches // self.accumulate)

    def total_steps(self, batches: int) -> int:
        """Return the optimizer steps of a training that no patience ends."""
        return self.epochs * self.steps_per_epoch(batches)


class Train(FitConfig):
    """How the network learns."""

    seed: int | None = Field(
        None,
        ge=0,
        lt=2**32,
        description="Of the weights and the order of images; null: the top-level seed. Each fold "
        "has its own, drawn from this one; fold 0 has this one itself.",
    )
    batch_size: int = Field(ge=1, le=4096, description="Images a step, over all devices.")
    loss: Literal["auto"] | LossName | dict[LossName, Weight | LossOptions] = Field(
        "auto", description="By name; or several: {bce: 1, lovasz: 0.5}."
    )
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.0,
        description="Labels and classes: the share of certainty that is spread over all answers.",
    )
    class_weights: Literal["balanced"] | Annotated[list[Weight], Field(min_length=1)] | None = (
        Field(
            None,
            description="cross_entropy: one a class; bce: of each label's positives; masks: one a "
            "class, where the background weighs 1; balanced: from the training images.",
        )
    )
    augment: Preset | list[Preset | dict[str, Any]] = Field(
        "light",
        description="A preset of random changes; or several, and transforms of albumentations by "
        "name: [random_resized, {HorizontalFlip: {p: 0.5}}, ...].",
    )
    erase: Share = Field(0.0, description="Share of the images of which a random box is hidden.")
    sample: Literal["balanced", "foreground"] | None = Field(
        None,
        description="balanced: each class as often, rare labels more often; foreground: a third of "
        "the windows holds some of the mask; null: each image once an epoch.",
    )
    crop: Annotated[list[Annotated[int, Field(ge=8)]], Field(min_length=2, max_length=2)] | None = (
        Field(None, description="[height, width] of random windows to learn from; null: whole.")
    )
    mixup: Number = Field(0.0, ge=0, le=10, description="Mixup's alpha (labels); 0: none.")
    cutmix: Number = Field(
        0.0, ge=0, le=10, description="CutMix's alpha (labels and masks); 0: none."
    )
    copy_paste: Share = Field(
        0.0, description="Masks: share of the images into which objects of another are pasted."
    )
    mix_p: Share = Field(1.0, description="Share of the images that mixup and cutmix mix.")
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=256)] = Field(
        "auto",
        description="Loader processes, and a quarter as many for validation; auto: 0 on a CPU, up "
        "to 8 beside a GPU.",
    )
    devices: int = Field(1, ge=1, le=64, description="GPUs of this machine, or processes.")
    loggers: list[Literal["wandb", "mlflow"]] = Field(
        [], description="Who gets each epoch's scores, beside TensorBoard and a CSV file."
    )
