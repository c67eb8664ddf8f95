"""The network as a graph, once."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.tensorboard.summary import text

from darkroom.board import events, tracing


class Graph(Callback):
    """Draws the network when training starts; where it can't, it says why in the text tab.

    Args:
        shape: Of a batch of images (N, 3, H, W).
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self.shape = shape

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw it, unless this training goes on from where another stopped."""
        learner = events.learner(pl_module)
        if learner.seen or not events.writers(trainer):
            return
        try:
            graph = tracing.trace(learner.net, self.shape)
        except Exception as error:  # a picture is no reason to stop a training, whatever is wrong
            words = f"This network can't be drawn: {type(error).__name__}: {error}"
            events.add(trainer, text("graph", words), 0)  # type: ignore[no-untyped-call]
        else:
            events.add_graph(trainer, graph)
