"""Darkroom: a folder of competition images, turned into a checked Kaggle submission."""
