"""Raw layouts to index rows: one module a layout."""
