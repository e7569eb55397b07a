"""TIFF's directories where the file's own numbers are absurd."""

import struct

import pytest

from gpen_core.images.directory import DirectoryError, read_directory


@pytest.mark.parametrize("offset", [1 << 20, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_directory_that_lies_outside_of_any_file_is_refused(order, offset):
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HHHQ", 43, 8, 0, offset)
    with pytest.raises(DirectoryError, match="lies outside the file"):
        read_directory(head)
