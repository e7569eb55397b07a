"""Colouring, filling and making faces: what is kept, what is changed, what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from task_models import Painter, QuadrantParser, face_at, face_map, task_model

from gpen_core.errors import ConfigError, FaceError, InputError, WeightsError
from gpen_core.images import Picture
from gpen_core.options import Blending, RestoreOptions
from gpen_core.tasks import (
    colorize,
    colorize_face,
    edit_faces,
    inpaint,
    inpaint_face,
    keep_luma,
    paint,
    parse_face,
    parse_faces,
    synthesize_face,
    white_strokes,
)

LUMA = np.array((0.299, 0.587, 0.114))


def pixels(size: int, seed: int = 0, *, width: int | None = None) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 240, (size // 4, (width or size) // 4, 3), dtype=np.uint8)
    return coarse.repeat(4, 0).repeat(4, 1)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.uint8, (3, 5, 3)),
    arrays.arrays(np.uint8, (3, 5, 3)),
)
def test_luma_is_kept_within_rounding_whatever_the_colours(before, after):
    kept = keep_luma(before, after)
    assert np.abs(kept @ LUMA - before @ LUMA).max() <= 0.5 + 1e-9
    assert kept.dtype == np.uint8


@given(st.integers(0, 255))
@settings(max_examples=20, deadline=None)
def test_chroma_keeps_its_direction_when_it_is_scaled_into_gamut(grey):
    before = np.full((1, 1, 3), grey, dtype=np.float32) / 255
    after = np.array([[[1.0, 0.1, 0.3]]], dtype=np.float32)
    chroma, wanted = keep_luma(before, after)[0, 0] - grey / 255, after[0, 0] - float(after[0, 0] @ LUMA)
    np.testing.assert_allclose(np.cross(chroma, wanted), 0, atol=1e-5)
    assert chroma @ wanted >= -1e-9


@pytest.mark.parametrize("size", [16, 32, 48, 100])
def test_colouring_keeps_the_luma_of_every_pixel_at_every_size(size):
    model = task_model("colorization")
    grey = np.random.default_rng(size).integers(0, 256, (size, size), dtype=np.uint8)
    coloured = colorize_face(grey, model)
    assert coloured.shape == (size, size, 3)
    assert np.abs(coloured @ LUMA - grey).max() <= 1
    assert np.ptp(coloured.astype(int), axis=2).max() > 5


def test_colouring_gives_back_what_it_was_given():
    model, grey = task_model("colorization"), pixels(32)
    assert colorize_face(Image.fromarray(grey).convert("L"), model).mode == "RGB"
    assert colorize_face(torch.rand(3, 32, 32), model).shape == (3, 32, 32)
    assert colorize_face(torch.rand(1, 32, 32), model).shape == (3, 32, 32)
    assert isinstance(colorize_face(Picture(pixels=grey), model), Picture)
    deep = (pixels(40).astype(np.uint16) << 8) + 77
    assert np.abs(colorize_face(deep, model) @ LUMA - deep @ LUMA).max() <= 0.5 + 1e-6


def test_the_network_that_colours_sees_grey():
    painter = Painter("colorization", (0.9, 0.4, 0.3))
    colorize_face(pixels(32), painter)
    (seen,) = painter.seen
    assert float((seen - seen.mean(1, keepdim=True)).abs().max()) < 1e-6


def test_colouring_a_photograph_changes_faces_only_and_no_luma():
    photograph = np.random.default_rng(5).integers(0, 256, (90, 120), dtype=np.uint8)
    faces = [face_at(15, 20, 40), face_at(70, 25, 36)]
    result = colorize(photograph, Painter("colorization", (0.9, 0.4, 0.3)), detections=faces)
    assert result.picture.shape == (90, 120, 3)
    assert np.abs(result.picture @ LUMA - photograph).max() <= 1
    outside = np.ones((90, 120), dtype=bool)
    for face in result.faces:
        x1, y1, x2, y2 = face.rectangle
        outside[y1:y2, x1:x2] = False
        middle = result.picture[(y1 + y2) // 2, (x1 + x2) // 2].astype(int)
        assert middle[0] > middle[2]
    np.testing.assert_array_equal(result.picture[outside], np.repeat(photograph[..., None], 3, 2)[outside])
    np.testing.assert_array_equal(result.decoded.pixels, result.picture)


@pytest.mark.parametrize("size", [32, 50])
def test_filling_leaves_every_pixel_outside_the_mask(size):
    model, face = task_model("inpainting"), pixels(size * 2)[:size, :size].copy()
    mask = np.zeros((size, size), dtype=np.uint8)
    mask[10:20, 5:25] = 255
    filled = inpaint_face(face, model, mask=mask)
    np.testing.assert_array_equal(filled[mask == 0], face[mask == 0])
    assert (filled[mask > 0] != face[mask > 0]).any(1).mean() > 0.9


def test_white_strokes_are_found_and_highlights_are_not():
    face = pixels(64)
    face[20:30, 8:50] = 255
    face[40:43, 10:13] = 255
    strokes = white_strokes(face)
    assert strokes[20:30, 8:50].all()
    assert not strokes[38:45, 8:16].any()
    assert strokes.sum() <= 14 * 46
    painter = Painter("inpainting", (0.5, 0.5, 0.5), size=64)
    filled = inpaint_face(face, painter)
    np.testing.assert_array_equal(filled[strokes == 0], face[strokes == 0])
    assert (filled[strokes > 0] == 128).all()


def test_the_network_that_fills_sees_white_under_the_mask():
    painter, mask = Painter("inpainting", (0.5, 0.5, 0.5)), np.zeros((32, 32), dtype=bool)
    mask[4:9, 4:9] = True
    inpaint_face(pixels(32), painter, mask=mask)
    assert (painter.seen[0][0, :, 4:9, 4:9] == 1).all()


def test_filling_a_photograph_reaches_the_mask_on_faces_and_nothing_else():
    photograph = pixels(96, width=128)
    mask = np.zeros((96, 128), dtype=np.float32)
    mask[40:46, 20:50] = 1
    mask[90:94, 120:126] = 1
    with pytest.warns(UserWarning, match="% of the mask lies outside every face"):
        result = inpaint(
            photograph, Painter("inpainting", (0.2, 0.5, 0.9)), mask=mask, detections=[face_at(15, 20, 40)]
        )
    filled = result.picture
    expected = photograph.copy()
    expected[40:46, 20:50] = np.rint(np.array((0.2, 0.5, 0.9)) * 255)
    np.testing.assert_allclose(filled.astype(int), expected.astype(int), atol=1)
    outside = mask == 0
    np.testing.assert_array_equal(filled[outside], photograph[outside])


def test_masks_of_another_picture_and_empty_ones_are_refused():
    model, face = task_model("inpainting"), pixels(32)
    with pytest.raises(InputError, match=r"the mask is 16×16, the picture 32×32"):
        inpaint_face(face, model, mask=np.ones((16, 16), dtype=np.float32))
    with pytest.raises(InputError, match="the mask is empty"):
        inpaint_face(face, model, mask=np.zeros((32, 32), dtype=np.float32))
    with pytest.raises(InputError, match="no part of the picture is painted white"):
        inpaint_face(face, model)
    away = np.zeros((96, 96), dtype=np.float32)
    away[90:, 90:] = 1
    with pytest.raises(FaceError, match="none of the mask lies on a face that was found"):
        inpaint(pixels(96), model, mask=away, detections=[face_at(5, 5, 30)])


def test_a_face_is_made_from_its_map_in_the_range_the_model_wants():
    model = task_model("segmentation", value_range=(0.0, 1.0))
    labels = face_map(32)
    made = synthesize_face(labels, model)
    x = torch.from_numpy(paint(labels)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = model(x)[0].clamp(0, 1).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(made, expected * 255, atol=0.51)
    np.testing.assert_array_equal(synthesize_face(paint(labels), model), made)


def test_parse_edit_synthesise_is_a_loop():
    model, parser, face = task_model("segmentation", value_range=(0.0, 1.0)), QuadrantParser(), pixels(64)
    labels = parse_face(face, parser)
    assert labels.shape == (64, 64)
    edited = labels.copy()
    edited[labels == 13] = 14
    first, second = synthesize_face(labels, model), synthesize_face(edited, model)
    assert first.shape == (32, 32, 3)
    assert (first != second).any()


def test_faces_of_a_photograph_are_made_anew_from_edited_maps():
    photograph, faces = pixels(96, width=128), [face_at(15, 20, 40), face_at(75, 20, 36)]
    model, parser = task_model("segmentation", value_range=(0.0, 1.0)), QuadrantParser()
    asked = []

    def hat(labels, index):
        asked.append(index)
        return np.where(labels == 13, 14, labels).astype(np.uint8)

    options = RestoreOptions()
    result = edit_faces(photograph, model, hat, parser=parser, detections=faces, options=options)
    assert asked == [0, 1]
    assert len(result.faces) == 2
    assert (result.picture != photograph).any()
    maps = parse_faces(photograph, parser=parser, detector=lambda x: [faces], detections=faces)
    again = edit_faces(
        photograph,
        model,
        lambda labels, index: np.where(maps[index] == 13, 14, maps[index]).astype(np.uint8),
        parser=parser,
        detections=faces,
    )
    np.testing.assert_array_equal(again.picture, result.picture)


def test_a_parser_without_labels_cannot_make_maps():
    with pytest.raises(InputError, match="needs a parser that gives 19 labels"):
        parse_face(pixels(32), lambda crops: crops[:, 0])


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda model: colorize_face(pixels(32), model), "colorization"),
        (lambda model: inpaint(pixels(32), model), "inpainting"),
        (lambda model: synthesize_face(face_map(32), model), "segmentation"),
    ],
)
def test_a_model_of_another_task_is_refused_by_both_names(call, wanted):
    with pytest.raises(WeightsError, match=rf"{wanted}.*small restoration is one for restoration.*gpen restore"):
        call(task_model("restoration"))


def test_an_aligned_face_is_square():
    with pytest.raises(InputError, match="48×32; an aligned face is square"):
        colorize_face(pixels(32, width=48), task_model("colorization"))


def test_what_colouring_cannot_honour_is_refused_by_name():
    options = RestoreOptions(blending=Blending(grain=0.5))
    with pytest.raises(ConfigError, match="grain: colourising keeps"):
        colorize(pixels(64), task_model("colorization"), options=options, detections=[])
