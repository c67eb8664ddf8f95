"""Send a submission to Kaggle exactly once."""
