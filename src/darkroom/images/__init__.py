"""Pixels: decoding and encoding, resizing, run lengths, and sheets of pictures."""
