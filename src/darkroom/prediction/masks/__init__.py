"""Masks at their final size: counts of pixels, objects and stacks, scores and thresholds."""
