"""How much memory is left, so that a file that claims too much is refused and nobody is killed for it."""

from __future__ import annotations

from pathlib import Path

from ..errors import PictureError

_MACHINE = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
#: What is small is not counted.
_SMALL = 1 << 28


def available_memory() -> int | None:
    """Bytes that this process may still take, by the machine and by its control group; None where neither tells."""
    left = []
    try:
        fields = dict(line.split(":", 1) for line in _MACHINE.read_text().splitlines() if ":" in line)
        left.append(int(fields["MemAvailable"].split()[0]) * 1024)
        limit = (_GROUP / "memory.max").read_text().strip()
        if limit != "max":
            statistics = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
            used = int((_GROUP / "memory.current").read_text()) - int(statistics.get("inactive_file", 0))
            left.append(int(limit) - used)
    except (OSError, ValueError, KeyError, IndexError):  # another system, or no such group
        pass
    return min(left, default=None)


def refuse_what_does_not_fit(size: int, path: Path) -> None:
    """Raises PictureError where `path` needs `size` bytes and so many are not left."""
    if size < _SMALL:
        return
    left = available_memory()
    if left is not None and size > left:
        raise PictureError(
            f"{path} needs about {size / 1e9:.1f} GB of memory, {max(left, 0) / 1e9:.1f} GB are left; "
            "close other programs, or make the picture smaller"
        )
