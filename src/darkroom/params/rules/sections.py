"""The rules of one section's keys against each other."""

from darkroom.params.competition import Competition, Params
from darkroom.params.data import KAGGLE, URLS, Source
from darkroom.params.model import Decoder, EncoderUNet, Model, Timm, UNet
from darkroom.params.networks import backbone_fault, encoder_fault
from darkroom.params.rules.data import data_faults
from darkroom.params.section import OBJECT_METRICS

# Keys of masks alone, by section.
MASK_KEYS = {
    "predict": ("scales", "tiles"),
    "evaluate": ("min_area", "fill_holes", "largest", "separate"),
}


def section_faults(params: Params) -> list[str]:
    """Check the keys of a section against each other."""
    faults = []
    for name, section in sorted(params.sections.items()):
        train = section.train
        if train.unfreeze_epoch is not None and train.freeze == "none":
            faults.append(f"{name}.train.unfreeze_epoch: set freeze: backbone first")
        if train.unfreeze_epoch is not None and train.unfreeze_epoch > train.epochs:
            faults.append(
                f"{name}.train.unfreeze_epoch: found {train.unfreeze_epoch}, but the training ends "
                f"after epoch {train.epochs}"
            )
        if train.select == "last" and train.patience is not None:
            faults.append(
                f"{name}.train.patience: found {train.patience}, but select: last compares no "
                "epochs; set it to null"
            )
        if train.average is not None and train.ema is not None:
            faults.append(
                f"{name}.train.average: found {train.average:g}, but ema averages the weights "
                "already; set one of them to null"
            )
        if train.batch_size % train.devices:
            faults.append(
                f"{name}.train.batch_size: found {train.batch_size}, which is not divisible by the "
                f"{train.devices} devices"
            )
        if isinstance(section.model, Timm) and (fault := backbone_fault(section.model.backbone)):
            faults.append(f"{name}.model.backbone: {fault}")
        if isinstance(section.model, Decoder) and (fault := encoder_fault(section.model.encoder)):
            faults.append(f"{name}.model.encoder: {fault}")
        if train.layer_decay is not None and not isinstance(section.model, Timm):
            faults.append(
                f"{name}.train.layer_decay: is for networks of timm; set {name}.train.rates, or "
                f"take one: {name}.model: {{name: timm, backbone: ...}}"
            )
        faults += _check_source(name, section.data)
        faults += data_faults(name, section.data)
        faults += _check_crop(name, section) + _check_evaluate(name, section)
        faults += _check_model(name, section.model) + _check_sampling(name, section)
    return faults


def _check_source(name: str, data: Source) -> list[str]:
    """Check that a remote source says what to fetch, each file under a name of its own."""
    faults = []
    if data.source == KAGGLE and data.kaggle is None:
        key = f"{name}.data.kaggle: a competition's name as in its address, or owner/name"
        hint = "set the source to urls" if data.urls else f"set {key}"
        faults.append(f"{name}.data.source: found kaggle, but not what to fetch; {hint}")
    if data.source == URLS and not data.urls:
        faults.append(
            f"{name}.data.source: found urls, but the list is empty; add {name}.data.urls: "
            "[{url: https://..., name: train.zip, sha256: ...}], or set the source to kaggle"
        )
    saved = [each.name for each in data.urls]
    if twice := sorted({each for each in saved if saved.count(each) > 1}):
        faults.append(f"{name}.data.urls: two files of the name {twice[0]}; rename one")
    return faults


def _check_crop(name: str, section: Competition) -> list[str]:
    """Check that a random crop fits the stored images."""
    crop, stored = section.train.crop, section.preprocess
    if crop is None or (crop[0] <= stored.height and crop[1] <= stored.width):
        return []
    return [
        f"{name}.train.crop: found {crop}, but {name}.preprocess stores images of "
        f"[{stored.height}, {stored.width}]"
    ]


def _check_model(name: str, model: Model) -> list[str]:
    """Check the keys of a network for masks against each other."""
    faults = []
    if isinstance(model, UNet) and model.deep_supervision and model.depth < 3:
        faults.append(
            f"{name}.model.deep_supervision: found depth {model.depth}, but it is for the levels "
            "between the coarsest and the finest; set depth to 3 or more"
        )
    if isinstance(model, EncoderUNet) and model.attention and min(model.decoder_channels) < 16:
        faults.append(
            f"{name}.model.decoder_channels: found {model.decoder_channels}, but attention: "
            f"{model.attention} squeezes the channels to a sixteenth; set each to 16 or more"
        )
    return faults


def _check_evaluate(name: str, section: Competition) -> list[str]:
    """Check that the keys of `predict` and `evaluate` apply to the task."""
    task, evaluate = section.data.task, section.evaluate
    faults = []
    is_set = evaluate.threshold not in (None, "auto")
    if is_set and task in ("multiclass", "regression"):
        faults.append(
            f"{name}.evaluate.threshold: found {evaluate.threshold}, but the task {task} has none; "
            "remove it"
        )
    if task != "segmentation":
        for part in ("predict", "evaluate"):
            keys = getattr(section, part)
            for key in MASK_KEYS[part]:
                if getattr(keys, key) != type(keys).model_fields[key].default:
                    faults.append(
                        f"{name}.{part}.{key}: is for masks, and the task is {task}; remove it"
                    )
    elif is_set and section.data.values:
        faults.append(
            f"{name}.evaluate.threshold: found {evaluate.threshold}, but of exclusive classes "
            "(data.values) a pixel has the most probable one; remove it"
        )
    metric = section.data.metric or "dice"
    if evaluate.separate and task == "segmentation" and metric not in OBJECT_METRICS:
        faults.append(
            f"{name}.evaluate.separate: is for metrics that count objects, "
            f"{' and '.join(OBJECT_METRICS)}, and the metric is {metric}; remove it"
        )
    return faults


def _check_sampling(name: str, section: Competition) -> list[str]:
    """Check that what is sampled, mixed and pasted suits the task."""
    task, train = section.data.task, section.train
    is_masks = task == "segmentation"
    unfit = {
        "mixup": bool(train.mixup) and (is_masks or task == "regression"),
        "cutmix": bool(train.cutmix) and task == "regression",
        "copy_paste": bool(train.copy_paste) and not is_masks,
        "sample": (train.sample == "balanced" and task == "regression")
        or (train.sample == "foreground" and not is_masks),
    }
    faults = [
        f"{name}.train.{key}: found {getattr(train, key)}, which does not work for the task "
        f"{task}; remove it"
        for key, is_unfit in unfit.items()
        if is_unfit
    ]
    if train.copy_paste and 0 in (section.data.values or {}):
        faults.append(
            f"{name}.train.copy_paste: objects are pasted, but data.values gives each pixel a "
            "class, 0 too: nothing tells objects from their ground; remove it"
        )
    mixing = [key for key in ("mixup", "cutmix") if getattr(train, key)]
    if mixing and train.batch_size // train.devices < 2:
        faults.append(
            f"{name}.train.{mixing[0]}: mixes the images of a batch, but each device gets a single "
            f"one: batch_size {train.batch_size}, devices {train.devices}; raise batch_size, or "
            f"remove {mixing[0]}"
        )
    if train.mix_p < 1 and not mixing:
        faults.append(f"{name}.train.mix_p: found {train.mix_p}, but mixup and cutmix are 0")
    if train.mix_until < 1 and not (mixing or train.copy_paste):
        faults.append(
            f"{name}.train.mix_until: found {train.mix_until}, but mixup, cutmix and copy_paste "
            "are 0"
        )
    return faults
