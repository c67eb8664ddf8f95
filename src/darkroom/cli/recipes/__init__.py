"""Recipes: parameters in files of their own, and `use`, which takes one into params.yaml."""
