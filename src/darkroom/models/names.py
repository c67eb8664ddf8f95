"""The names of the networks, without importing a library of networks."""

from typing import get_args

from darkroom.params.networks import ClassifierName

# A decoder of segmentation_models_pytorch over any of its encoders, by its name there.
DECODERS = {
    "encoder_unet": "Unet",
    "unetplusplus": "UnetPlusPlus",
    "fpn": "FPN",
    "deeplabv3plus": "DeepLabV3Plus",
    "segformer": "Segformer",
}
CLASSIFIERS: tuple[str, ...] = get_args(ClassifierName)
MASK_NAMES = ("unet", *DECODERS)
LABEL_NAMES = ("small_cnn", *CLASSIFIERS)
NAMES = (*MASK_NAMES, *LABEL_NAMES)
