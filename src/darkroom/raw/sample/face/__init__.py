"""Draw a face, and the attributes it has."""
