"""From probabilities to the file a judge reads: run lengths, the gzip CSV, and its check."""
