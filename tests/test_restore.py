"""From a picture to a picture with restored faces."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_restorers import Network, face, inverted, labels, photograph
from torch import Tensor

from gpen_core.config import ModelCard
from gpen_core.errors import ConfigError, DeviceError, FaceError, InputError
from gpen_core.faces.types import Detection
from gpen_core.options import Blending, Masking, RestoreOptions, Selection
from gpen_core.restore import FaceRestorer

GOLDEN = Path(__file__).parent / "golden/face_pipeline"


def test_the_reference_preset_gives_the_references_picture() -> None:
    values = json.loads((GOLDEN / "one.json").read_text())
    given, expected = (np.array(Image.open(GOLDEN / f"one_{name}.png")) for name in ("input", "result"))
    mask = torch.from_numpy(np.array(Image.open(GOLDEN / "mask.png"))).float()
    restorer = FaceRestorer(Network(lambda x: 1 - x.flip(1), 512), parser=lambda x: mask.expand(len(x), -1, -1))
    found = Detection(box=values["box"], landmarks=values["landmarks"])
    result = restorer.restore(given, RestoreOptions.reference(), detections=[found])
    difference = np.abs(result.picture.astype(int) - expected.astype(int))
    assert difference.mean() <= 0.1
    assert (difference.max(-1) <= 3).mean() >= 0.999


def test_the_reference_preset_works_where_the_reference_crashes() -> None:
    restorer = FaceRestorer(inverted(64, 128), parser=lambda x: torch.ones(len(x), 512, 512))
    given = photograph()
    result = restorer.restore(given, RestoreOptions.reference(strength=0.5), detections=[face(30, 20, 40)])
    assert result.faces[0].restored.shape == (3, 128, 128)
    assert (result.picture != given).any()


@pytest.mark.parametrize("in_size", [256, 512, 1024, 2048])
def test_a_network_that_changes_nothing_changes_next_to_nothing_at_any_size(in_size: int) -> None:
    smooth = np.add.outer(np.linspace(0, 200, 90), np.linspace(0, 55, 120)).astype(np.uint8)
    given = np.repeat(smooth[..., None], 3, 2)
    result = FaceRestorer(Network(lambda x: x, in_size)).restore(given, detections=[face(40, 25, 40)])
    assert np.abs(result.picture.astype(int) - given.astype(int)).max() <= 2


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 70), width=st.integers(1, 90), kind=st.sampled_from([np.uint8, np.uint16, np.float32]),
    faces=st.lists(st.tuples(st.floats(-60, 90), st.floats(-60, 70), st.floats(0.5, 150)), max_size=4),
    reference=st.booleans(),
)  # fmt: skip
def test_pixels_outside_every_rectangle_are_as_they_were(
    height: int, width: int, kind: type, faces: list[tuple[float, float, float]], reference: bool
) -> None:
    given = photograph(height, width, kind)
    options = RestoreOptions.reference() if reference else RestoreOptions()
    restorer = FaceRestorer(inverted(32), parser=lambda x: torch.ones(len(x), 512, 512))
    result = restorer.restore(given, options, detections=[face(*where) for where in faces])
    untouched = np.ones((height, width), bool)
    for one in result.faces:
        x1, y1, x2, y2 = one.rectangle
        untouched[y1:y2, x1:x2] = False
        assert one.mask.shape == (y2 - y1, x2 - x1)
    np.testing.assert_array_equal(result.picture[untouched], given[untouched])
    assert result.picture.dtype == given.dtype
    assert len(result.faces) == len(faces)


def test_without_a_face_the_picture_is_identical_and_the_result_says_so() -> None:
    given = photograph(kind=np.uint16)
    result = FaceRestorer(inverted(), detector=lambda images: [[]]).restore(given)
    assert result.faces == ()
    np.testing.assert_array_equal(result.picture, given)


def test_the_result_is_of_the_kind_that_was_given(tmp_path: Path) -> None:
    array = photograph()
    restorer, where = FaceRestorer(inverted()), [face(30, 20, 40)]
    expected = restorer.restore(array, detections=where).picture
    image = restorer.restore(Image.fromarray(array), detections=where).picture
    tensor = restorer.restore(torch.from_numpy(array).permute(2, 0, 1), detections=where).picture
    Image.fromarray(array).save(tmp_path / "a.png")
    stored = restorer.restore(tmp_path / "a.png", detections=where)
    assert isinstance(image, Image.Image)
    np.testing.assert_array_equal(np.array(image), expected)
    np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), expected)
    np.testing.assert_array_equal(stored.picture.pixels, expected)
    stored.save(tmp_path / "b.png")
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "b.png")), expected)


def test_a_read_only_array_is_taken_as_it_is() -> None:
    given = photograph()
    given.setflags(write=False)
    assert FaceRestorer(inverted()).restore(given, detections=[face(30, 20, 40)]).picture.flags.writeable


def test_channels_stay_in_their_places() -> None:
    given = np.zeros((90, 120, 3), np.uint8)
    given[..., 0] = 200
    result = FaceRestorer(Network(lambda x: x)).restore(given, detections=[face(30, 20, 40)])
    np.testing.assert_array_equal(result.picture, given)


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_mixes_between_the_picture_and_the_restored_face(strength: float) -> None:
    given = np.full((90, 120, 3), 100, np.uint8)
    restorer = FaceRestorer(Network(lambda x: torch.full_like(x, 200 / 255)))
    options = RestoreOptions(blending=Blending(strength=strength))
    centre = restorer.restore(given, options, detections=[face(40, 25, 40)]).picture[45, 60]
    assert np.abs(centre.astype(int) - round(100 + 100 * strength)).max() <= 1


def test_strength_of_one_face_leaves_the_others() -> None:
    given = photograph()
    options = RestoreOptions(blending=Blending(face_strength={1: 0.0}))
    result = FaceRestorer(inverted()).restore(given, options, detections=[face(5, 20, 30), face(80, 20, 30)])
    assert [one.strength for one in result.faces] == [1.0, 0.0]
    assert result.faces[0].mask.max() > 0.9
    assert not result.faces[1].mask.any()


@pytest.mark.parametrize(
    "selection", [Selection(), Selection(indices=(1,)), Selection(indices=(1, 0)), Selection(largest=1)]
)
def test_a_face_keeps_its_number_whichever_are_restored(selection: Selection) -> None:
    restorer = FaceRestorer(inverted(), lambda pictures: [[face(5, 20, 30), face(80, 20, 34)] for _ in pictures])
    options = RestoreOptions(selection=selection, blending=Blending(face_strength={1: 0.0}))
    result = restorer.restore(photograph(), options)
    assert {float(one.detection.box[0]): one.strength for one in result.faces}[80.0] == 0.0
    assert all(one.strength == 1.0 for one in result.faces if float(one.detection.box[0]) == 5.0)


def test_strength_by_region_leaves_that_region() -> None:
    given = np.full((300, 300, 3), 100, np.uint8)
    restorer = FaceRestorer(Network(lambda x: torch.ones_like(x), 512), parser=labels)
    where = [face(80, 60, 130)]
    full = restorer.restore(given, detections=where)
    spared = restorer.restore(given, RestoreOptions(blending=Blending(region_strength={"eyes": 0.0})), detections=where)
    affine = full.faces[0].affine
    inverse = torch.linalg.inv(torch.cat([affine, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)]))
    eye_x, eye_y = (inverse @ torch.tensor([260.0, 200.0, 1.0], dtype=torch.float64))[:2].round().int().tolist()
    skin_x, skin_y = (inverse @ torch.tensor([260.0, 360.0, 1.0], dtype=torch.float64))[:2].round().int().tolist()
    assert full.picture[eye_y, eye_x, 0] > 240
    assert spared.picture[eye_y, eye_x, 0] < 130
    assert spared.picture[skin_y, skin_x, 0] > 240


def test_strength_by_region_with_a_float_mask_is_refused() -> None:
    restorer = FaceRestorer(inverted(), parser=lambda x: torch.ones(len(x), 512, 512))
    with pytest.raises(InputError, match="needs a parser that gives CelebAMask-HQ labels"):
        restorer.restore(
            photograph(),
            RestoreOptions(blending=Blending(region_strength={"eyes": 0.5})),
            detections=[face(30, 20, 40)],
        )


def test_a_grey_picture_stays_grey_when_asked() -> None:
    given = np.repeat(photograph()[..., :1], 3, 2)
    coloured = FaceRestorer(Network(lambda x: x * torch.tensor([1.0, 0.5, 0.2])[:, None, None]))
    where = [face(30, 20, 40)]
    loose, grey = (RestoreOptions(blending=Blending(keep_tone=False, keep_grey=keep)) for keep in (False, True))
    plain = coloured.restore(given, loose, detections=where).picture
    kept = coloured.restore(given, grey, detections=where).picture
    assert np.ptp(plain, axis=2).max() > 20
    assert np.ptp(kept, axis=2).max() == 0
    assert (kept != given).any()


def test_a_picture_of_one_channel_keeps_its_mode() -> None:
    given = Image.fromarray(photograph()[..., 0])
    assert given.mode == "L"
    assert FaceRestorer(inverted()).restore(given, detections=[face(30, 20, 40)]).picture.mode == "L"


def test_a_mask_of_the_callers_decides_and_one_of_another_size_is_refused() -> None:
    given = photograph()
    mask = np.zeros((90, 120), np.float32)
    mask[:, :55] = 1
    restorer, where = FaceRestorer(inverted()), [face(30, 20, 40)]
    result = restorer.restore(given, detections=where, masks=mask).picture
    np.testing.assert_array_equal(result[:, 55:], given[:, 55:])
    assert (result[:, :55] != given[:, :55]).any()
    with pytest.raises(InputError, match=r"\(1, 45, 60\).*\(90, 120\)"):
        restorer.restore(given, detections=where, masks=mask[::2, ::2])


def test_the_steps_one_by_one_give_what_restore_gives() -> None:
    given, where, options = photograph(), [face(30, 20, 40), face(55, 30, 30)], RestoreOptions()
    restorer = FaceRestorer(inverted(), parser=labels)
    crops = restorer.align(given, where, options)
    restored = restorer.run(crops.crops, options)
    pasted = restorer.paste(given, crops, restored, restorer.masks(crops, restored, options), options)
    np.testing.assert_array_equal(pasted.picture, restorer.restore(given, options, detections=where).picture)


def test_detections_are_made_and_selected_where_none_are_given() -> None:
    faces = [face(5, 20, 30), replace(face(70, 20, 30), score=0.95)]
    restorer = FaceRestorer(inverted(), detector=lambda images: [faces])
    options = RestoreOptions(selection=Selection(order="left", indices=(1,)))
    (only,) = restorer.restore(photograph(), options).faces
    assert float(only.box[0]) == pytest.approx(70)


@pytest.mark.parametrize("options", [{"strength": 1}, {}, Blending(strength=1), 0.5])
def test_what_is_no_options_is_refused_in_a_line(options: Any) -> None:
    restorer = FaceRestorer(inverted())
    with pytest.raises(ConfigError, match=f"options are given as {type(options).__name__}; expected RestoreOptions"):
        restorer.restore(photograph(), options, detections=[face(30, 20, 40)])


def test_a_result_of_another_size_or_not_finite_is_no_success() -> None:
    where = [face(30, 20, 40)]
    wrong = inverted()
    wrong.config = SimpleNamespace(in_size=64, out_size=64)
    wrong.function = lambda x: x / 0
    with pytest.raises(DeviceError, match="not finite"):
        FaceRestorer(wrong).restore(photograph(), detections=where)
    model = SimpleNamespace(config=SimpleNamespace(in_size=64, out_size=128), card=ModelCard())
    with pytest.raises(InputError, match="configuration says"):
        FaceRestorer(_Callable(model, lambda x: x)).restore(photograph(), detections=where)


class _Callable:
    def __init__(self, like: Any, function: Callable[[Tensor], Tensor]) -> None:
        self.config, self.card, self.function = like.config, like.card, function

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_landmarks_in_one_point_are_refused() -> None:
    point = Detection(box=[0, 0, 9, 9], landmarks=[[4, 4]] * 5)
    with pytest.raises(FaceError, match="one point"):
        FaceRestorer(inverted()).restore(photograph(), detections=[point])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Blending(strength=1.5),
        lambda: Blending(region_strength={"ears": 1}),
        lambda: Masking(kind="star"),
        lambda: RestoreOptions(batch_size=0),
        lambda: RestoreOptions(template="star"),
    ],
)
def test_options_check_themselves(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match=r"expected|regions are"):
        make()
