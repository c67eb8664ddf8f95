"""Short runs before a training: over learning rates, and on one batch. They leave no result."""
