"""IMAGE, MASK, BOUNDING_BOX, FACE_LANDMARKS and SEGS in the shapes in which they come."""

from __future__ import annotations

import pytest
import torch
from nodes_under_test import Pack


def picture_batch(count: int = 2, height: int = 6, width: int = 8, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_alpha_is_dropped_and_grey_repeated(pack: Pack, channels: int) -> None:
    pictures = pack.module("nodes.pictures")
    images = picture_batch(channels=channels)
    picture = pictures.picture_at(pictures.check_images(images), 1)
    expected = images[1].movedim(-1, 0)[:3].expand(3, -1, -1)
    assert torch.equal(picture, expected)


def test_half_precision_comes_in_as_float32_and_the_input_stays_as_it_was(pack: Pack) -> None:
    pictures = pack.module("nodes.pictures")
    images = picture_batch().half() * 1.2
    before = images.clone()
    picture = pictures.picture_at(pictures.check_images(images), 0)
    assert picture.dtype == torch.float32
    assert float(picture.max()) <= 1
    picture.fill_(0)
    assert torch.equal(images, before)


@pytest.mark.parametrize(("scale", "said"), [((0, 255), "from 0 to 255"), ((-1, 1), "from -1 to 1"), ((-0.2, 1.2), "")])
def test_values_far_from_0_to_1_are_told_of_and_what_merely_rings_is_not(
    pack: Pack, caplog: pytest.LogCaptureFixture, scale: tuple[float, float], said: str
) -> None:
    low, high = scale
    images = torch.linspace(low, high, 2 * 6 * 8 * 3).view(2, 6, 8, 3)
    with caplog.at_level("WARNING", logger="gpen"):
        taken = pack.module("nodes.pictures").check_images(images, name="crops")
    assert torch.equal(taken, images.clamp(0, 1))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == (
        [f"crops holds values {said}"] if said else []
    )


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (2, 4, 4, 2), (4, 4), (1, 0, 4, 3)])
def test_what_is_no_picture_is_refused(pack: Pack, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="image"):
        pack.module("nodes.pictures").check_images(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(6, 8), (1, 6, 8), (2, 6, 8), (2, 1, 6, 8), (2, 6, 8, 1), (1, 64, 64), (1, 3, 4)])
def test_masks_of_every_shape_come_out_in_the_size_of_the_picture(pack: Pack, shape: tuple[int, ...]) -> None:
    pictures = pack.module("nodes.pictures")
    mask = pictures.check_mask(torch.full(shape, 0.25))
    for index in range(2):
        fitted = pictures.mask_at(mask, index, 6, 8)
        assert fitted.shape == (6, 8)
        assert torch.allclose(fitted, torch.tensor(0.25))


def test_the_empty_mask_of_load_image_is_told_from_a_painted_one(pack: Pack) -> None:
    pictures = pack.module("nodes.pictures")
    assert pictures.is_placeholder(torch.zeros(1, 64, 64), 600, 400)
    assert not pictures.is_placeholder(torch.zeros(1, 64, 64), 64, 64)
    assert not pictures.is_placeholder(torch.ones(1, 64, 64), 600, 400)


def test_results_are_clamped_and_in_the_dtype_that_comfyui_wants(pack: Pack) -> None:
    pack.engine.dtype = torch.float16
    out = pack.module("nodes.pictures").images_out([torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1)])
    assert out.dtype == torch.float16
    assert out.shape == (1, 1, 1, 3)
    assert out.flatten().tolist() == [0.0, 0.5, 1.0]


BOX = {"x": 1, "y": 2, "width": 3, "height": 4, "score": 0.5, "label": "face"}


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (BOX, [1, 1, 1]),
        ([BOX, BOX], [2, 2, 2]),
        ([[BOX]], [1, 1, 1]),
        ([[BOX], [], [BOX, BOX]], [1, 0, 2]),
        ([[BOX], [BOX]], [1, 1, 0]),
        ([[BOX]] * 5, [1, 1, 1]),
        ([], [0, 0, 0]),
    ],
)
def test_bounding_boxes_of_every_shape_give_boxes_a_frame(pack: Pack, value: object, counts: list[int]) -> None:
    frames = pack.module("nodes.boxes").boxes_per_frame(value, 3)
    assert [len(frame) for frame in frames] == counts
    assert all(box == ((1.0, 2.0, 4.0, 6.0), 0.5) for frame in frames for box in frame)


@pytest.mark.parametrize("value", ["face", 3, [[BOX], 7], {"x": 1}, [{"x": 1, "y": 1, "width": 0, "height": 2}]])
def test_what_is_no_bounding_box_is_refused(pack: Pack, value: object) -> None:
    with pytest.raises(ValueError, match="bounding box"):
        pack.module("nodes.boxes").boxes_per_frame(value, 1)


@pytest.mark.parametrize("name", ["x", "y", "width", "height", "score"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_bounding_box_of_numbers_that_are_not_finite_is_refused(pack: Pack, name: str, number: float) -> None:
    with pytest.raises(pack.module("gpen_core.errors").FaceError, match="of finite numbers"):
        pack.module("nodes.boxes").boxes_per_frame([{**BOX, name: number}], 1)


def mesh_of_a_face(degrees: float = 0.0) -> torch.Tensor:
    """A face mesh whose named points lie where an upright face has them, turned by `degrees`."""
    mesh = torch.zeros(478, 2)
    at = {  # the subject's right side is on the picture's left
        (33, 133, 159, 145): (-10.0, -10.0),
        (263, 362, 386, 374): (10.0, -10.0),
        (1,): (0.0, 0.0),
        (61,): (-7.0, 10.0),
        (291,): (7.0, 10.0),
    }
    for indices, point in at.items():
        mesh[list(indices)] = torch.tensor(point)
    angle = torch.deg2rad(torch.tensor(degrees))
    turn = torch.stack((torch.stack((angle.cos(), -angle.sin())), torch.stack((angle.sin(), angle.cos()))))
    return mesh @ turn.T + 50


def mirrored(mesh: torch.Tensor) -> torch.Tensor:
    return torch.stack((100 - mesh[:, 0], mesh[:, 1]), 1)


@pytest.mark.parametrize("degrees", [0.0, 90.0, 180.0, 300.0])
def test_the_five_points_of_a_mesh_turn_with_the_face(pack: Pack, degrees: float) -> None:
    points = pack.module("nodes.boxes").five_points(mesh_of_a_face(degrees))
    expected = mesh_of_a_face(degrees)[[33, 263, 1, 61, 291]]
    assert torch.allclose(points, expected, atol=1e-4)


@pytest.mark.parametrize("degrees", [0.0, 90.0, 180.0, 300.0])
def test_left_and_right_are_put_right_in_a_mirrored_mesh(pack: Pack, degrees: float) -> None:
    points = pack.module("nodes.boxes").five_points(mirrored(mesh_of_a_face(degrees)))
    expected = mirrored(mesh_of_a_face(degrees))[[263, 33, 1, 291, 61]]
    assert torch.allclose(points, expected, atol=1e-4)


def test_face_landmarks_give_detections_a_frame(pack: Pack) -> None:
    face = {"landmarks_xy": mesh_of_a_face().numpy(), "bbox_xyxy": [30, 30, 70, 70], "score": 0.75}
    frames = pack.module("nodes.boxes").landmarks_per_frame({"frames": [[face], []]}, 3)
    assert [len(frame) for frame in frames] == [1, 0, 0]
    assert frames[0][0].box.tolist() == [30, 30, 70, 70]
    assert frames[0][0].score == 0.75


ZEROS = [[0, 0]] * 478


@pytest.mark.parametrize(
    "value",
    [
        *(None, {}, {"frames": [None]}, {"frames": [[{}]]}, {"frames": [[{"landmarks_xy": [[0, 0]] * 5}]]}),
        {"frames": [[{"landmarks_xy": None}]]},
        {"frames": [[{"landmarks_xy": ZEROS, "bbox_xyxy": None}]]},
        {"frames": [[{"landmarks_xy": ZEROS, "bbox_xyxy": ["left", 0, 1, 1]}]]},
        {"frames": [[{"landmarks_xy": ZEROS, "score": "high"}]]},
        {"frames": [[{"landmarks_xy": ZEROS, "score": [1, 2]}]]},
    ],
)
def test_what_are_no_face_landmarks_is_refused(pack: Pack, value: object) -> None:
    with pytest.raises(pack.module("gpen_core.errors").FaceError, match="landmarks"):
        pack.module("nodes.boxes").landmarks_per_frame(value, 1)


def test_a_mesh_without_a_score_is_certain(pack: Pack) -> None:
    face = {"landmarks_xy": mesh_of_a_face(), "score": None}
    assert pack.module("nodes.boxes").landmarks_per_frame({"frames": [[face]]}, 1)[0][0].score == 1


def a_face(pack: Pack) -> object:
    kind = pack.module("gpen_core.faces.types").Detection
    points = mesh_of_a_face()[[33, 263, 1, 61, 291]] - 35
    return kind(box=torch.tensor([5.0, 4.0, 25.0, 28.0]), landmarks=points, score=0.9)


def test_segs_go_out_and_come_back(pack: Pack) -> None:
    segs = pack.module("nodes.segs")
    picture = picture_batch(1, 40, 30)[0].movedim(-1, 0)
    face = a_face(pack)
    out = segs.segs_of(picture, [face], [segs.box_mask(face, 40, 30)], crop_factor=1.5)
    (height, width), (region,) = out
    assert (height, width) == (40, 30)
    x1, y1, x2, y2 = region.crop_region
    assert region.cropped_image.shape == (1, y2 - y1, x2 - x1, 3)
    assert torch.equal(region.cropped_image[0], picture[:, y1:y2, x1:x2].movedim(0, -1))
    back = segs.check_segs(out, 40, 30)
    assert segs.boxes_of(back) == [((5.0, 4.0, 25.0, 28.0), pytest.approx(0.9))]
    mask = segs.mask_of(back, 40, 30)
    expected = torch.zeros(40, 30)
    expected[4:28, 5:25] = 1
    assert torch.equal(mask, expected)
    assert region._replace(label="eye").label == "eye"


def test_segs_of_another_picture_are_refused_with_both_sizes(pack: Pack) -> None:
    with pytest.raises(ValueError, match=r"30×40 .* 31×40"):
        pack.module("nodes.segs").check_segs(((40, 30), []), 40, 31)


@pytest.mark.parametrize("value", [None, 5, ((40, 30), [1]), (40, [])])
def test_what_is_no_segs_is_refused(pack: Pack, value: object) -> None:
    with pytest.raises(ValueError, match="SEGS"):
        pack.module("nodes.segs").check_segs(value, 40, 30)


def region_of(pack: Pack, **changes: object) -> object:
    whole = torch.ones(6, 8)
    region = pack.module("nodes.segs").Segment(None, whole, 0.9, [1, 2, 9, 8], [2.0, 3.0, 6.0, 7.0], "face")
    return region._replace(**changes)


@pytest.mark.parametrize("corner", [(-20, 2), (1, -20), (-20, -20), (100, 2), (1, 100)])
def test_a_region_that_lies_beside_the_picture_covers_nothing_of_it(pack: Pack, corner: tuple[int, int]) -> None:
    x, y = corner
    region = region_of(pack, crop_region=[x, y, x + 8, y + 6])
    assert not bool(pack.module("nodes.segs").mask_of([region], 40, 30).any())


@pytest.mark.parametrize(
    "changes",
    [
        {"bbox": [0, 0]},
        {"bbox": None},
        {"bbox": [float("nan"), 0, 5, 5]},
        {"confidence": "high"},
        {"confidence": float("nan")},
        {"crop_region": None},
        {"crop_region": [0, 0, 6]},
        {"cropped_mask": torch.full((6, 8), float("nan"))},
    ],
)
def test_a_region_that_is_none_is_refused_in_one_line(pack: Pack, changes: dict[str, object]) -> None:
    segs, region = pack.module("nodes.segs"), region_of(pack, **changes)

    def read() -> object:
        return segs.boxes_of([region]), segs.mask_of([region], 40, 30)

    with pytest.raises(pack.module("gpen_core.errors").GPENError, match="region of the SEGS") as caught:
        read()
    assert "\n" not in str(caught.value)
