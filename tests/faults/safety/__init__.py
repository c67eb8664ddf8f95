"""Lines of the source that keep data safe, and the tests that must notice without them."""
