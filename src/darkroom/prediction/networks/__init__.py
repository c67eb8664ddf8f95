"""Ask networks: probabilities of batches, averaged over networks, symmetries, scales and tiles."""
