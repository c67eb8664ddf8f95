"""Kaggle's API through its own clients, kagglehub and kaggle. No other room imports them."""
