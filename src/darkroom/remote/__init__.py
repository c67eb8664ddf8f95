"""Download files from servers: https, retry with backoff, resume, verify; and Kaggle's clients."""
