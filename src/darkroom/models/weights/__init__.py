"""First weights: read from files of any origin, and copied into a network."""
