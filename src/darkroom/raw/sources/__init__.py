"""Where raw files come from: a folder, or servers by way of the download cache."""
