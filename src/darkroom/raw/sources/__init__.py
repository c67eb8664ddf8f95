"""Where raw files come from: a folder, Kaggle, or addresses, by way of a download cache."""
