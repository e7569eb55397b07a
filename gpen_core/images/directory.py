"""Directories of TIFF (TIFF 6.0 §2; BigTIFF), which EXIF blocks are too: read and changed as bytes.

An entry's value stands at an offset from the start of the file. So a changed directory can be put at the end, with
every other entry as it was: nothing of a value is decoded, damaged and private ones stay what they are.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "L", 16: "Q"}
#: More entries than any file has.
_MOST = 4096


class DirectoryError(ValueError):
    """Bytes that are no directory; those who read a file say which."""


@dataclass(frozen=True, kw_only=True)
class Directory:
    """One directory of `data`: entries by tag, each (type, count, the field that holds the value or its offset).

    order: "<" or ">"; big: of BigTIFF; places: where the fields stand; after: the offset of the next directory, 0 for
    none.
    """

    data: bytes | mmap
    order: str
    big: bool
    entries: Mapping[int, tuple[int, int, bytes]]
    places: Mapping[int, int]
    after: int

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The whole numbers of an entry. Raises DirectoryError where it holds others, or lies outside the file."""
        if tag not in self.entries:
            return default
        kind, count, field = self.entries[tag]
        if kind not in _NUMBERS:
            raise DirectoryError(f"the TIFF's tag {tag} holds no whole numbers")
        size = count * _SIZES[kind]
        if size <= len(field):
            return struct.unpack_from(f"{self.order}{count}{_NUMBERS[kind]}", field)
        (offset,) = struct.unpack(self.order + ("Q" if self.big else "L"), field)
        if offset + size > len(self.data):
            raise DirectoryError(f"the TIFF's tag {tag} lies outside the file")
        return struct.unpack_from(f"{self.order}{count}{_NUMBERS[kind]}", self.data, offset)

    def number(self, tag: int, default: int) -> int:
        """The first of `numbers`."""
        found = self.numbers(tag, (default,))
        return found[0] if found else default

    def reset(self, tag: int, number: int) -> bytes:
        """The file with another whole number in an entry, in its place; without the entry where it holds anything else
        than one."""
        if tag not in self.entries:
            return bytes(self.data)
        kind, count, _ = self.entries[tag]
        if kind not in _NUMBERS or count != 1:
            return self.changed({tag: None})
        packed = struct.pack(self.order + _NUMBERS[kind], number)
        return self.data[: self.places[tag]] + packed + self.data[self.places[tag] + len(packed) :]

    def changed(self, changes: Mapping[int, tuple[int, ...] | bytes | None]) -> bytes:
        """The file with this directory as its first, some entries put in place: whole numbers, text (ASCII), or None
        to leave the entry out.
        """
        entries = dict(self.entries)
        offset_kind, field_size = ("Q", 8) if self.big else ("L", 4)
        room = len(self.data) + len(self.data) % 2
        values = b"\0" * (len(self.data) % 2)
        for tag, change in changes.items():
            entries.pop(tag, None)
            if change is None:
                continue
            if isinstance(change, bytes):
                kind, count, packed = 2, len(change) + 1, change + b"\0"
            else:
                kind = 16 if self.big else 4
                count, packed = len(change), struct.pack(f"{self.order}{len(change)}{offset_kind}", *change)
            if len(packed) > field_size:
                field = struct.pack(self.order + offset_kind, room)
                values += packed + b"\0" * (len(packed) % 2)
                room = len(self.data) + len(values)
            else:
                field = packed.ljust(field_size, b"\0")
            entries[tag] = (kind, count, field)
        start = len(self.data) + len(values)
        lines = [
            struct.pack(self.order + ("HHQ" if self.big else "HHL"), tag, kind, count) + field
            for tag, (kind, count, field) in sorted(entries.items())
        ]
        count_of = struct.pack(self.order + ("Q" if self.big else "H"), len(lines))
        tail = struct.pack(self.order + offset_kind, self.after)
        head = self.data[:8] if self.big else self.data[:4]
        head += struct.pack(self.order + offset_kind, start)
        return b"".join((head, self.data[len(head) :], values, count_of, *lines, tail))


def read_directory(data: bytes | mmap, number: int = 0) -> Directory:
    """The directory of that number. Raises DirectoryError where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    magic = struct.unpack_from(order + "H", data, 2)[0] if order and len(data) >= 8 else 0
    if order is None or magic not in (42, 43):
        raise DirectoryError(f"it begins with {data[:4]!r}" if len(data) >= 8 else f"it ends after {len(data)} bytes")
    big = magic == 43
    one, count_kind, entry = ("Q", "Q", "HHQ8s") if big else ("L", "H", "HHL4s")
    seen: set[int] = set()
    try:
        (after,) = struct.unpack_from(order + one, data, 8 if big else 4)
        while True:
            if after == 0 or after in seen:
                raise DirectoryError(f"the TIFF has no directory {number}")
            seen.add(after)
            (count,) = struct.unpack_from(order + count_kind, data, after)
            if count > _MOST:
                raise DirectoryError(f"a TIFF directory claims {count} entries")
            start, size = after + struct.calcsize("=" + count_kind), struct.calcsize("=" + entry)
            behind = data[start + size * count : start + size * count + 8].ljust(8, b"\0")
            (following,) = struct.unpack_from(order + one, behind)
            if len(seen) == number + 1:
                found = [struct.unpack_from(order + entry, data, start + size * i) for i in range(count)]
                entries = {tag: (kind, n, field) for tag, kind, n, field in found if kind in _SIZES}
                places = {one[0]: start + size * i + size - len(one[3]) for i, one in enumerate(found)}
                return Directory(data=data, order=order, big=big, entries=entries, places=places, after=following)
            after = following
    except (struct.error, OverflowError) as error:  # BigTIFF points past what an index holds
        raise DirectoryError("a TIFF directory lies outside the file") from error


def count_directories(data: bytes | mmap) -> int:
    """How many directories follow each other from the first; 0 where there is none."""
    count = 0
    try:
        while count < _MOST:
            read_directory(data, count)
            count += 1
    except DirectoryError:
        pass
    return count
