"""GPEN for spandrel: `install()` adds the architecture to spandrel's registry, for every program in this process."""

from __future__ import annotations

from gpen_core.formats.spandrel_architecture import GPENArch, install

__all__ = ["GPENArch", "install"]
