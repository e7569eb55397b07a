"""Maps of regions: painted, damaged, read back."""

import io

import numpy as np
import pytest
from PIL import Image
from task_models import face_map

from gpen_core.errors import FaceError, InputError
from gpen_core.tasks import PALETTE, as_labels, paint, read_labels


def jpeg(colours: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_a_painted_map_is_read_back_exactly():
    labels = np.random.default_rng(0).integers(0, 19, (40, 60), dtype=np.uint8)
    np.testing.assert_array_equal(read_labels(paint(labels)), labels)


@pytest.mark.parametrize("size", [512])
def test_a_map_damaged_by_jpeg_at_quality_60_finds_its_classes_again(size):
    labels = face_map(size)
    found = read_labels(jpeg(paint(labels), 60))
    assert (found == labels).mean() >= 0.995
    assert set(np.unique(labels)) <= set(np.unique(found))


def test_stray_pixels_take_what_surrounds_them():
    labels = face_map(256)
    colours = paint(labels)
    random = np.random.default_rng(1)
    rows, columns = random.integers(2, 254, (2, 600))
    colours[rows, columns] = (128, 128, 128)
    found = read_labels(colours)
    untouched = (paint(labels) == colours).all(2)
    assert (found == labels)[~untouched].mean() >= 0.95
    np.testing.assert_array_equal(found[untouched], labels[untouched])


def test_more_than_two_per_cent_of_far_colours_are_refused_with_their_position():
    colours = paint(np.zeros((256, 256), dtype=np.uint8))
    random = np.random.default_rng(2)
    flat = random.choice(256 * 256, 1700, replace=False)
    colours.reshape(-1, 3)[flat] = (128, 128, 128)
    y, x = divmod(int(flat.min()), 256)
    with pytest.raises(FaceError, match=rf"2\.6 % of the map's colours.*x {x}, y {y}"):
        read_labels(colours)


def test_a_far_region_above_a_thousandth_is_refused_with_its_position():
    colours = paint(face_map(512))
    colours[100:118, 300:318] = (128, 128, 128)
    with pytest.raises(FaceError, match=r"region of \d+ pixels around x 3\d\d, y 1\d\d.*\[128, 128, 128\]"):
        read_labels(colours)
    smaller = paint(face_map(512))
    smaller[100:112, 300:312] = (128, 128, 128)
    assert (read_labels(smaller) == face_map(512)).mean() > 0.999


def test_a_photograph_is_no_map():
    noise = np.random.default_rng(3).integers(90, 180, (64, 64, 3), dtype=np.uint8)
    with pytest.raises(FaceError, match="is it a map of regions"):
        read_labels(noise)


def test_labels_come_as_numbers_or_colours():
    labels = face_map(64)
    for given in (
        labels,
        labels.astype(np.int64),
        paint(labels),
        Image.fromarray(labels),
        Image.fromarray(paint(labels)),
    ):
        np.testing.assert_array_equal(as_labels(given), labels)
    with pytest.raises(InputError, match="0 to 18"):
        paint(np.full((4, 4), 19))
    assert PALETTE[18].tolist() == [0, 204, 0]
