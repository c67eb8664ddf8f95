"""Features of a frozen backbone, computed once and kept while only the head learns."""
