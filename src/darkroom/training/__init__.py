"""Stage 4, training: the loop, the optimizer step, checkpoints, and several processes."""
