"""PyAV, loaded when a film is at hand."""

from __future__ import annotations

from typing import Any

from ..errors import MissingPackageError


def load_av() -> Any:
    """The module `av`. Raises MissingPackageError, naming the extra, where it is not installed or does not load."""
    try:
        import av
    except ImportError as error:
        raise MissingPackageError(f"films need PyAV ({error}); install it with `pip install gpen[video]`") from error
    return av
