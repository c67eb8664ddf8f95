"""The user's home folder, where tokens and the download cache lie."""

from pathlib import Path

from darkroom.errors import ParamsError


def home() -> Path:
    """Return it.

    Raises:
        ParamsError: There is none: neither $HOME nor an entry in the list of users.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise ParamsError(
            "there is no home folder",
            found="neither HOME nor an entry in passwd",
            fix="set the environment variable HOME to a folder",
        ) from None
