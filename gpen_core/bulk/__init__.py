"""Archives of pictures on Ray Data: one program on a laptop and on a cluster, from disks and from object stores."""

from .inputs import ArchiveItem, collect_archive
from .run import Build, Workers, restore_archive

__all__ = ["ArchiveItem", "Build", "Workers", "collect_archive", "restore_archive"]
