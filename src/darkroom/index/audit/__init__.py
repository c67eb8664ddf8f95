"""What is odd about the data: duplicates, leaks, sizes, balance."""
