"""What a competition counts: metrics by name, of labels, probabilities, values and masks."""
