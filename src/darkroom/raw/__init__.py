"""Stage 1, raw files as delivered: archives read in place, tables, masks, and their sources."""
