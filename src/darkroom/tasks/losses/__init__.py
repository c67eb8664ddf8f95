"""Losses of masks, labels and values, by name."""
