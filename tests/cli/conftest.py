import pytest


@pytest.fixture(autouse=True)
def _small(small: None) -> None:
    """Compute on one thread, in this process."""
