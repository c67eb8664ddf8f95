"""Stage 5, predictions: test-time augmentation, tiles, scores and thresholds."""
