"""networks: the networks that `model` can name, with parameters, input and licence."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache

import torch
from torch import nn

from darkroom.errors import ParamsError
from darkroom.models.build import build_network, normalisation
from darkroom.params.networks import CLASSIFIERS, MASK_NAMES

PLAIN = ("small_cnn", *MASK_NAMES)  # of no library, or a decoder over an encoder of one
HEADER = ("name", "library", "parameters", "input", "mean, std", "licence of the weights")
WIDTHS = (56, 12, 11, 12, 44, 0)
MOST_COUNTED = 60  # networks of timm; each is built, and all 1,400 would take minutes
WILDCARDS = "*?["


@dataclass(frozen=True)
class Network:
    """A line of the list.

    Attributes:
        name: In params.yaml: `name`, or of timm's networks `backbone`.
        library: Whose it is.
        parameters: How many, with a head of 1,000 classes; of a network without published weights
            with one output. None: not counted.
        size: Height and width, px, of the images that its published weights learned from.
        colours: Mean and std of its input.
        licence: Of its published weights; "" if there are none.
    """

    name: str
    library: str
    parameters: int | None
    size: str
    colours: str
    licence: str

    def line(self) -> str:
        """Return the line that is printed."""
        millions = "-" if self.parameters is None else f"{self.parameters / 1e6:.1f} M"
        return _line(self.name, self.library, millions, self.size, self.colours, self.licence)


def run(pattern: str | None = None) -> None:
    """Print the networks whose names fit a pattern; of many of timm without their parameters.

    Args:
        pattern: Of the shell (`convnext*`); without `*`, `?` and `[`, a part of the name. None:
            all but timm's, which are counted.

    Raises:
        ParamsError: No name fits.
    """
    own = [name for name in (*PLAIN, *CLASSIFIERS) if _fits(name, pattern)]
    of_timm = [] if pattern is None else [n for n in _timm_names() if _fits(n, pattern)]
    if not own and not of_timm:
        raise _nothing_fits(str(pattern))
    print(_line(*HEADER))
    is_counted = len({name.partition(".")[0] for name in of_timm}) <= MOST_COUNTED
    for network in _listed(own, of_timm, is_counted=is_counted):
        print(network.line(), flush=True)
    if not is_counted:
        print(f"\nParameters of timm's are counted for at most {MOST_COUNTED}: narrow the pattern.")
    if pattern is None:
        _print_families()


def _nothing_fits(pattern: str) -> ParamsError:
    names = [*PLAIN, *CLASSIFIERS, *_timm_names()]
    near = get_close_matches(pattern.strip("*?[]"), names, n=3)
    is_pattern = bool(set(WILDCARDS) & set(pattern))
    advice = "write a part of a name, or a pattern in quotes: 'convnext*'"
    if is_pattern:
        advice = "a pattern fits whole names: begin and end it with *, or write a part of a name"
    return ParamsError(
        "no network has such a name",
        found=pattern,
        fix=f"did you mean {' or '.join(near)}?" if near else advice,
    )


def _listed(own: list[str], of_timm: list[str], *, is_counted: bool) -> Iterator[Network]:
    for name in own:
        yield _torchvisions(name) if name in CLASSIFIERS else _plain(name)
    for name in of_timm:
        yield _timms(name, is_counted=is_counted)


def _fits(name: str, pattern: str | None) -> bool:
    if pattern is None:
        return True
    words = pattern.lower()
    return fnmatchcase(name, words) if set(WILDCARDS) & set(words) else words in name


@cache
def _timm_names() -> list[str]:
    """Return timm's networks, each with the tags of its weights, or alone if there are none."""
    import timm  # noqa: PLC0415  (two seconds)

    tagged: list[str] = timm.list_pretrained()
    with_weights = {name.partition(".")[0] for name in tagged}
    return sorted({*tagged, *(n for n in timm.list_models() if n not in with_weights)})


def _print_families() -> None:
    """Say what timm has: a line of some names, not 1,800 of all."""
    import timm  # noqa: PLC0415

    names = _timm_names()
    print(
        f"\ntimm: {len(timm.list_models())} networks, {len(names)} with each of their weights. "
        "In params.yaml: {name: timm, backbone: NAME}.\n"
        "`darkroom networks 'convnext*'` lists those of a pattern. Their families:\n"
        + ", ".join(timm.list_modules())
    )


def _plain(name: str) -> Network:
    with torch.device("meta"):
        net = build_network(name, outputs=1, seed=0)
    library = "darkroom" if name in ("small_cnn", "unet") else "smp"
    return Network(name, library, _count(net), "any", _colours(*normalisation(name)), "")


def _torchvisions(name: str) -> Network:
    from darkroom.models.classifiers import published  # noqa: PLC0415

    weights = published(name)
    (side,) = weights.transforms().crop_size
    return Network(
        name,
        "torchvision",
        weights.meta["num_params"],
        f"{side} x {side}",
        _colours(*normalisation(name)),
        weights.meta.get("license", "bsd-3-clause"),
    )


def _timms(name: str, *, is_counted: bool) -> Network:
    from darkroom.models.timm_networks import card_of  # noqa: PLC0415

    card = card_of(name)
    licence = card.license or "not stated" if card.has_weights else ""
    size = f"{card.input_size[1]} x {card.input_size[2]}"
    colours = _colours(*normalisation("timm", backbone=name))
    parameters = _parameters(name.partition(".")[0]) if is_counted else None
    return Network(name, "timm", parameters, size, colours, licence)


@cache
def _parameters(backbone: str) -> int:
    """Return the parameters of a network of timm, which is built without its numbers."""
    import timm  # noqa: PLC0415

    with torch.device("meta"):
        net: nn.Module = timm.create_model(backbone)
    return _count(net)


def _count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def _colours(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    texts = (" ".join(f"{value:.3g}" for value in values) for values in (mean, std))
    return ", ".join(texts)


def _line(*cells: str) -> str:
    padded = [f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)]
    return "  ".join(padded).rstrip()
