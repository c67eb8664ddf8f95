"""Draw a car in a studio, and its mask."""
