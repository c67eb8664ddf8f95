"""Stage 2, one row an image: the canonical table, the folds, and what is odd about the data."""
