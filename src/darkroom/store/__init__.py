"""Stage 3, stored images and masks: shards on disk, batches in memory."""
