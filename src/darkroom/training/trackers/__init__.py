"""Trackers of experiments, by name, beside the history as CSV and TensorBoard."""
