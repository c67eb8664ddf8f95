"""What is tried before a training: `train --check`, `train --overfit` and `lr`."""
