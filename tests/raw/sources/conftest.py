from tests.remote.conftest import rig, waiting

__all__ = ["rig", "waiting"]
