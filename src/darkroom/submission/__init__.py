"""Stage 6, submissions: encode predictions as run lengths or text, write and check the CSV."""
