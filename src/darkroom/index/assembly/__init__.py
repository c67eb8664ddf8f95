"""Raw files to index rows, as the data section of params.yaml describes them."""
