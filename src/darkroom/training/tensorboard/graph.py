"""The network as a graph, once."""

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils.tensorboard.summary import text

from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard.writer import EventWriter

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


class Graph(Callback):
    """Draws the network when training starts; if that fails, writes the reason to the text tab.

    Args:
        shape: Of a batch of images (N, C, H, W).
    """

    def __init__(self, events: EventWriter, shape: tuple[int, int, int, int]) -> None:
        self.events, self.shape = events, shape

    def on_train_start(self, loop: "Loop") -> None:
        """Draw the network, unless this training is resumed."""
        if loop.batches_seen or not self.events.is_open:
            return
        try:
            graph = trace(loop.module.net, self.shape)
        except Exception as error:  # a picture is no reason to stop a training
            words = f"This network can't be drawn: {type(error).__name__}: {error}"
            self.events.add(text("graph", words), 0)  # type: ignore[no-untyped-call]
        else:
            self.events.add_graph(graph)


def trace(net: nn.Module, shape: tuple[int, int, int, int]) -> GraphDef:
    """Return the graph of a network: a node for each layer, and for what joins layers.

    Names follow the modules, so that TensorBoard folds a block into one box.

    Args:
        net: Takes float32 images; it is not changed.
        shape: Of the images (N, C, H, W).

    Raises:
        Exception: Any that copying or running the network raises.
    """
    twin = weightless(net).eval()
    nodes = Nodes()
    for path, module in twin.named_modules():
        _watch(nodes, path, module)
    images = torch.empty(shape, device="meta")
    nodes.add("input", "Input", (), images)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the network: it gives them again when it trains
        with Joints(nodes):
            logits = twin(images)
    nodes.add("output", "Output", (logits,), logits)
    return nodes.graph


def weightless(net: nn.Module) -> nn.Module:
    """Return a copy whose parameters and buffers have shapes but no numbers."""
    copies: dict[int, Any] = {}
    for weight in net.parameters():
        copies[id(weight)] = nn.Parameter(weight.detach().to("meta"), requires_grad=False)
    for buffer in net.buffers():
        copies[id(buffer)] = buffer.detach().to("meta")
    return copy.deepcopy(net, copies)


class Nodes:
    """The graph so far, which node each tensor comes from, and the module being run."""

    def __init__(self) -> None:
        self.graph = GraphDef()
        self.scope: list[str] = []
        self.in_layer = 0
        self._sources: dict[int, tuple[Tensor, str]] = {}  # tensors are held: their ids are keys
        self._names: dict[str, int] = {}

    def add(
        self,
        path: str,
        kind: str,
        inputs: Any,
        outputs: Any,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Add a node between tensors, however deep these lie in tuples, lists and mappings."""
        name = self._unique(path)
        results = list(_tensors(outputs))
        attributes = {key: AttrValue(s=value.encode()) for key, value in (facts or {}).items()}
        shapes = AttrValue.ListValue(shape=[_shape(tensor) for tensor in results])
        attributes["_output_shapes"] = AttrValue(list=shapes)
        sources = [self._sources[id(t)][1] for t in _tensors(inputs) if id(t) in self._sources]
        self.graph.node.append(NodeDef(name=name, op=kind, input=sources, attr=attributes))
        for number, tensor in enumerate(results):
            self._sources[id(tensor)] = (tensor, f"{name}:{number}" if number else name)

    def knows(self, values: Any) -> bool:
        """Return whether any of the tensors was made by a node."""
        return any(id(tensor) in self._sources for tensor in _tensors(values))

    def _unique(self, path: str) -> str:
        """Return the path, numbered from its second use on."""
        used = self._names[path] = self._names.get(path, 0) + 1
        return path if used == 1 else f"{path}_{used}"


class Joints(TorchFunctionMode):
    """Adds what a network does between its layers: additions, concatenations, resizing."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self.nodes = nodes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        outputs = func(*args, **kwargs)
        is_known = not self.nodes.in_layer and self.nodes.knows((args, kwargs))
        if is_known and any(True for _ in _tensors(outputs)):
            kind = _plain(func)
            self.nodes.add("/".join([*self.nodes.scope[-1:], kind]), kind, (args, kwargs), outputs)
        return outputs


def _watch(nodes: Nodes, path: str, module: nn.Module) -> None:
    """Let a module say when it runs: a layer becomes a node, others give their parts a name."""
    place = path.replace(".", "/")
    layer = not any(True for _ in module.children())

    def enter(_module: nn.Module, _args: Any) -> None:
        nodes.in_layer += layer
        if not layer and place:
            nodes.scope.append(place)

    def leave(_module: nn.Module, args: Any, outputs: Any) -> None:
        nodes.in_layer -= layer
        if layer:
            facts = {name: _words(weight) for name, weight in module.named_parameters()}
            kind = type(module).__name__
            nodes.add(place or kind, kind, args, outputs, {"layer": module.extra_repr()} | facts)
        elif place:
            nodes.scope.pop()

    module.register_forward_pre_hook(enter)
    module.register_forward_hook(leave)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(values.values())
    elif isinstance(values, Iterable) and not isinstance(values, str | bytes | torch.Size):
        for value in values:
            yield from _tensors(value)


def _plain(func: Callable[..., Any]) -> str:
    """Return the name of a function of torch: `add` of torch.Tensor.add or Tensor.__add__."""
    full: str = resolve_name(func) or getattr(func, "__name__", "step")
    parts = full.split(".")
    return (parts[-2] if parts[-1] == "__get__" else parts[-1]).strip("_")


def _shape(tensor: Tensor) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in tensor.shape])


def _words(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape))
