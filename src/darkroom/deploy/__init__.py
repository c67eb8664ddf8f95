"""A trained model outside of its pipeline: it needs no training data, no shards and no DVC."""
