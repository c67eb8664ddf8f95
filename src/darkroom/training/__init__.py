"""Stage 4, training: the loop, the optimiser step, checkpoints, and several processes."""
