"""The sections of a page: each reads what a run has left, and says it in blocks."""
