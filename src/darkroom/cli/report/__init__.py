"""`darkroom report`: what a run has learned, or how two differ, as one HTML file without a host."""
