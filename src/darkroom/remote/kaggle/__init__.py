"""The only room that knows the clients of Kaggle."""
