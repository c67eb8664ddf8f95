"""Pixels: decode and encode files, resize and place, run lengths, contact sheets."""
