"""Files from elsewhere: asked for again when the line fails, gone on with, and never half."""
