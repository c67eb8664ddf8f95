"""A trained model as a function: pictures in, probabilities out, the same as in its pipeline.

    predictor = darkroom.load("models/celeba")
    probabilities = predictor([picture])

The pipeline's own parts do it: preprocess's decoding and fitting (through a JPEG, if shards hold
these), predict's networks, views and tiles, the mean over folds at the decision's temperature.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from darkroom.deploy.preparation import LooseFiles, Preparation, PreparedImage, batches_of
from darkroom.deploy.trained import Surroundings, fold_folders, is_model, surroundings
from darkroom.errors import ArtifactError, DataError, ParamsError
from darkroom.images.geometry import RGB, restore
from darkroom.images.levels import levels_of
from darkroom.images.objects import plane_objects
from darkroom.models.device import choose_device, prediction_dtype
from darkroom.models.saved import load_model
from darkroom.params.evaluate import Predict
from darkroom.params.section import Accelerator
from darkroom.prediction.averaging import aligned
from darkroom.prediction.blending.mixes import Mix
from darkroom.prediction.blending.sampling import same_size
from darkroom.prediction.blending.saved import FoldMix
from darkroom.prediction.decision import (
    WITHOUT_THRESHOLD,
    Decision,
    averaged_as_decided,
    read_decision,
)
from darkroom.prediction.networks.predict import predict
from darkroom.prediction.networks.tta import tta_of
from darkroom.prediction.predictions import Header, Prediction, as_stored
from darkroom.store.loader import Batch
from darkroom.store.shard import ShardFormat
from darkroom.tasks.planes import MaskClasses

Floats = NDArray[np.float32]

_NEEDED = ("task", "targets", "classes", "height", "width", "fit", "mean", "std")
_SHARED = (*_NEEDED, "exclusive", "channels")  # by the models of one predictor


@dataclass(frozen=True)
class Predictor:
    """One or several networks of a competition, whose predictions are averaged; or a blend's.

    Call it with pictures, uint8 (H, W, C) of any sizes, or their paths; see `__call__`. It may be
    called again and again, from one thread.

    Attributes:
        networks: In eval mode.
        infos: The model.json of each.
        preparation: How pictures are stored before a network sees them.
        choice: The section `predict`: batch size, device, test-time augmentation, tiles.
        decision: How probabilities become answers.
        beside: What stands beside the models; None: they lie in no project.
        others: Of a blend, the further members; these networks are the first one's.
        mixes: Of a blend, how the members' networks of each fold are mixed, in the order of
            `networks`.
    """

    networks: tuple[nn.Module, ...]
    infos: tuple[Mapping[str, Any], ...]
    preparation: Preparation
    choice: Predict
    decision: Decision
    beside: Surroundings | None = None
    others: tuple["Predictor", ...] = ()
    mixes: tuple[Mix, ...] = ()

    @property
    def task(self) -> str:
        """segmentation, multilabel, multiclass, binary or regression."""
        return str(self.infos[0]["task"])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the outputs, in their order; () for masks of one class without a name."""
        return tuple(self.infos[0]["classes"] or self.infos[0]["targets"])

    @property
    def mask_classes(self) -> MaskClasses:
        """How mask classes share the pixels."""
        info = self.infos[0]
        # A logit more than there are classes is the background's.
        has_background = info["model"]["outputs"] > len(info["targets"])
        exclusive = bool(info.get("exclusive"))
        return MaskClasses(exclusive, exclusive and has_background)

    def __call__(
        self, pictures: Iterable[NDArray[Any] | str | os.PathLike[str]]
    ) -> Floats | list[Floats]:
        """Return the probabilities of pictures.

        Args:
            pictures: uint8 (H, W, C), RGB where C is 3, of any sizes; grey may be (H, W). Or paths
                of pictures, which are read as the pipeline reads them.

        Returns:
            float32 (N, K): of labels and classes, 0 to 1; of a regression, its values. For masks a
            list of float32 (K, H, W), each at the size of its picture.

        Raises:
            DataError: A picture is no such array, can't be read, or stands alone and not in a list.
            ResourceError: Memory ran out.
        """
        is_text = isinstance(pictures, str | bytes)  # which would be taken for its letters
        is_array = getattr(pictures, "ndim", None) in (2, 3)  # (H, W, C): for H grey pictures
        if is_text or is_array or not isinstance(pictures, Iterable):
            shape = getattr(pictures, "shape", type(pictures).__name__)
            raise DataError(
                "these are no pictures", found=shape, expected="a list of them, even of one"
            )
        predictions = list(self.predictions(self._prepared(pictures)))
        if self.task == "segmentation":
            return [planes for some in predictions for planes in self.restored(some)]
        if not predictions:
            return np.empty((0, self.infos[0]["model"]["outputs"]), np.float32)
        return np.concatenate([some.probabilities for some in predictions])

    def _prepared(
        self, pictures: Iterable[NDArray[Any] | str | os.PathLike[str]]
    ) -> Iterator[tuple[PreparedImage, ...]]:
        """Yield pictures as each network takes them."""
        files = LooseFiles()
        readers = [each.reader(files, []) for each in self.preparations]
        for number, picture in enumerate(pictures):
            if not isinstance(picture, str | os.PathLike):
                yield tuple(
                    each.prepare(picture, f"picture {number}") for each in self.preparations
                )
                continue
            path = str(Path(picture).absolute())
            pairs = zip(self.preparations, readers, strict=True)
            yield tuple(each.read(reader, path, str(picture)) for each, reader in pairs)

    @property
    def preparations(self) -> tuple[Preparation, ...]:
        """How each member of a blend stores pictures; of a section alone its own."""
        return (self.preparation, *(each.preparation for each in self.others))

    def predictions(self, images: Iterable[tuple[PreparedImage, ...]]) -> Iterator[Prediction]:
        """Yield the mean predictions of images, those of masks at the stored size.

        Memory holds a batch or two.

        Args:
            images: Each as it is for each of `preparations`.
        """
        members = (self, *self.others)
        by_member = [
            member._by_network(map(itemgetter(place), stream))
            for place, (member, stream) in enumerate(
                zip(members, itertools.tee(images, len(members)), strict=True)
            )
        ]
        folds: Sequence[Iterable[Prediction]] = by_member[0]
        if self.others:
            by_fold = zip(*by_member, strict=True)
            folds = [self._mixed(m, each) for m, each in zip(self.mixes, by_fold, strict=True)]
        return averaged_as_decided(folds, self.task, self.decision)

    def _mixed(self, mix: Mix, sources: Sequence[Iterable[Prediction]]) -> Iterator[Prediction]:
        """Yield the mixed predictions of a fold as the stage `blend` keeps them."""
        headers = [member._header for member in (self, *self.others)]
        alike = [
            same_size(source, own, headers[0]) for source, own in zip(sources, headers, strict=True)
        ]
        for batches in aligned(alike):
            ids, _, originals = batches[0]
            values = mix([batch.probabilities for batch in batches])
            yield Prediction(ids, as_stored(values, self.task), originals)

    @property
    def _header(self) -> Header:
        """What predictions of the stage `predict` would be of: their shape and fit."""
        form, outputs = self.preparation.format, max(1, len(self.names))
        size = (form.height, form.width) if self.task == "segmentation" else ()
        return Header("test", self.task, (outputs, *size), 0, form.fit)

    def _by_network(self, images: Iterable[PreparedImage]) -> list[Iterator[Prediction]]:
        """Return the predictions of each network, which are made as they are taken."""
        sources = itertools.tee(batches_of(images, self.choice.batch_size), len(self.networks))
        return [
            self._of_network(network, info, source)
            for network, info, source in zip(self.networks, self.infos, sources, strict=True)
        ]

    def _of_network(
        self, network: nn.Module, info: Mapping[str, Any], images: Iterable[Batch]
    ) -> Iterator[Prediction]:
        """Yield one network's predictions as the stage `predict` keeps them."""
        device = choose_device(self.choice.accelerator)
        precision = info.get("precision", "float32"), info.get("trained_on", "cpu")
        predictions = predict(
            [network],
            images,
            self.task,
            device,
            dtypes=[prediction_dtype(*precision, device)],
            mean=info["mean"],
            std=info["std"],
            tta=tta_of(self.choice),
            tiles_at_once=self.choice.batch_size,
            classes=self.mask_classes,
        )
        for ids, probabilities, originals in predictions:
            yield Prediction(ids, as_stored(probabilities, self.task), originals)

    def restored(self, prediction: Prediction) -> Iterator[Floats]:
        """Yield the probabilities of masks (K, H, W), float32, at each original's size."""
        fit = self.preparation.format.fit
        for planes, (height, width) in zip(
            prediction.probabilities, prediction.originals.tolist(), strict=True
        ):
            yield np.stack([restore(plane, height, width, fit) for plane in planes])

    def masks(self, probabilities: Floats) -> NDArray[np.bool_]:
        """Return the masks (K, H, W) that the decision makes of a picture's probabilities."""
        classes, cleanup = self.mask_classes, self.decision.cleanup
        masks = self.decision.masks(
            probabilities, exclusive=classes.exclusive, background=classes.background
        )
        if not cleanup.changes_masks:
            return masks
        return np.stack(plane_objects(masks, cleanup, exclusive=classes.exclusive)) > 0


def load(
    models: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    accelerator: Accelerator | None = None,
) -> Predictor:
    """Return a predictor of trained models.

    How images are stored, test-time augmentation and the decision come from the params.yaml and
    the reports of the project that a model lies in. Of a model elsewhere, pictures do not pass
    through a JPEG, and are predicted once, as they are.

    Args:
        models: `models/NAME/fold0`, one model; `models/NAME`, all folds of params.yaml (or all
            that are there), averaged; or several models.
        accelerator: auto, cpu, cuda or mps; None: as the section `predict` says.

    Raises:
        ResourceError: This machine has no such accelerator.
        ArtifactError: A model is absent or damaged; models do not go together; or the decision or
            params.yaml beside them are of other models.
        ParamsError: The params.yaml beside them is invalid, or an argument.
    """
    paths: list[Any] = [models]
    if not isinstance(models, str | os.PathLike) and isinstance(models, Iterable):
        paths = list(models)
    others = [each for each in paths if not isinstance(each, str | os.PathLike)]
    if others or not paths:
        raise ParamsError(
            "these are no models",
            found=", ".join(map(repr, others)) or "an empty list",
            expected="models/NAME, or models/NAME/fold0; or a list of such paths",
        )
    folders: list[Path] = []
    for path in map(Path, paths):
        if is_model(path):
            folders.append(path)
        else:
            beside = surroundings(path)
            folders += fold_folders(path, beside.folds if beside else ())
    return load_folders(folders, surroundings(folders[0].parent), accelerator=accelerator)


def load_folders(
    folders: Sequence[Path],
    beside: Surroundings | None,
    *,
    accelerator: Accelerator | None = None,
    decision: Decision | None = None,
) -> Predictor:
    """Return a predictor of models in some folders; see `load`.

    Args:
        folders: Of the models.
        beside: What stands beside them.
        accelerator: None: as the section `predict` says.
        decision: None: the one that stands beside them.
    """
    choice = beside.section.predict if beside and beside.section else Predict.model_validate({})
    if accelerator is not None:
        choice = choice.model_copy(update={"accelerator": accelerator})
    choose_device(choice.accelerator)  # absent ones are refused before anything is loaded
    loaded = [load_model(folder) for folder in folders]
    infos = tuple(info for _, info in loaded)
    _require_alike(folders, infos)
    return Predictor(
        networks=tuple(network for network, _ in loaded),
        infos=infos,
        preparation=_preparation(folders[0], infos[0], beside),
        choice=choice,
        decision=_decision(infos, beside) if decision is None else decision,
        beside=beside,
    )


def blend_predictors(
    members: Sequence[Predictor],
    mixes: Mapping[str, FoldMix],
    decision: Decision,
    beside: Surroundings,
) -> Predictor:
    """Return the predictor of a blend.

    Args:
        members: Of one competition, each with a network a fold, in one order of folds.
        mixes: How the members' networks of each fold are mixed; see `read_mixes`.
        decision: The blend's.
        beside: Its files.

    Raises:
        ArtifactError: It was fitted to predictions of other networks.
    """
    chosen = []
    for number, info in enumerate(members[0].infos):
        networks = tuple(str(member.infos[number]["weights"]) for member in members)
        mix = mixes.get(str(info.get("fold")))
        if mix is None or mix.networks != networks:
            raise ArtifactError(
                "the blend was fitted to the predictions of other networks than these",
                file=beside.paths.mixes,
                fix=f"run `dvc repro {beside.paths.dvc_stage('blend')}`",
            )
        chosen.append(mix.mix)
    first, *others = members
    return replace(
        first, decision=decision, beside=beside, others=tuple(others), mixes=tuple(chosen)
    )


def _require_alike(folders: Sequence[Path], infos: Sequence[Mapping[str, Any]]) -> None:
    """Refuse models that predict other things, or of pictures of another form, than the first.

    And one that says too little to be used: of weights that no stage `train` wrote.
    """
    for folder, info in zip(folders, infos, strict=True):
        if absent := [key for key in _NEEDED if key not in info]:
            raise ArtifactError(
                "its model.json does not say how to use it",
                file=folder,
                found=f"no {', '.join(absent)}",
                fix="load a model that `darkroom train` wrote",
            )
        for key in _SHARED:
            if info.get(key) != infos[0].get(key):
                raise ArtifactError(
                    f"its {key} is another than that of {folders[0]}",
                    file=folder,
                    found=info.get(key),
                    expected=infos[0].get(key),
                    fix="load models of other sections apart, and average what they return",
                )


def _preparation(folder: Path, info: Mapping[str, Any], beside: Surroundings | None) -> Preparation:
    """Return how a model's pictures are stored.

    Of a model that does not say it (before version 0.3), params.yaml does.

    Raises:
        ArtifactError: The params.yaml beside it has another task, or stores them in another way.
    """
    section = None if beside is None else beside.section
    fix = f"run `dvc repro train@{beside.name if beside else ''}-{info['fold']}`, or undo the edit"
    if section is not None and section.data.task != info["task"]:
        raise ArtifactError(
            "this model learned another task than params.yaml has now",
            file=folder,
            found=info["task"],
            expected=section.data.task,
            fix=fix,
        )
    now = None if section is None else section.preprocess
    keys = ("height", "width", "fit", "store", "quality", "levels")
    choices: dict[str, Any] = {"store": "raw", "quality": 90, "levels": None}
    choices |= {} if now is None else now.model_dump(include=set(keys))
    learned = {key: info[key] for key in keys[:3]} | info.get("stored", {})
    if now is not None and (differing := [key for key in learned if choices[key] != learned[key]]):
        raise ArtifactError(
            "this model learned from images stored in another way than params.yaml has now",
            file=folder,
            found=", ".join(f"{key} {learned[key]}" for key in differing),
            expected=", ".join(f"{key} {choices[key]}" for key in differing),
            fix=fix,
        )
    choices |= learned
    return Preparation(
        ShardFormat(
            info["height"],
            info["width"],
            info["fit"],
            choices["store"],
            info.get("channels", RGB),
        ),
        choices["quality"],
        levels_of(choices["levels"]),
    )


def _decision(infos: Sequence[Mapping[str, Any]], beside: Surroundings | None) -> Decision:
    """Return the decision beside the models; without one the usual threshold.

    Raises:
        ArtifactError: It was chosen on predictions of other networks.
    """
    info = infos[0]
    task, labels = info["task"], max(1, len(info["targets"]))
    if beside is None or not beside.paths.decision.is_file():
        usual = Decision()
        return replace(usual, threshold=None) if task in WITHOUT_THRESHOLD else usual
    file = beside.paths.decision
    decision = read_decision(file, beside.name, task, labels)
    weights = {info["weights"] for info in infos if isinstance(info.get("fold"), int)}
    if not weights <= set(decision.networks):
        raise ArtifactError(
            "it was chosen on the predictions of other networks than these",
            file=file,
            fix=f"run `dvc repro evaluate@{beside.name}`",
        )
    return decision
