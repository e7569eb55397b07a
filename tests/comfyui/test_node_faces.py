"""Which faces the nodes take: selections, given boxes, SEGS of other packs, and the regions of a face."""

from __future__ import annotations

import pytest
import torch
from face_stand_ins import HEIGHT, WIDTH, detected, face_at, photograph, stand_in_model
from nodes_under_test import Pack


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_a_box_within_a_face_takes_that_face(pack: Pack, share: float) -> None:
    model = stand_in_model(pack)
    face = model.detector().faces[0]
    x1, y1, x2, y2 = face.box.tolist()
    side = {"width": share * (x2 - x1), "height": share * (y2 - y1)}
    box = {"x": (x1 + x2 - side["width"]) / 2, "y": (y1 + y2 - side["height"]) / 2, **side}
    found = pack.run("GPEN_DetectFaces", gpen_model=model, image=photograph(), bounding_boxes=[box])[0].frames[0]
    assert torch.equal(found[0].landmarks, face.landmarks)


def test_a_generous_box_takes_the_face_in_it_and_one_beside_the_picture_none(pack: Pack) -> None:
    model = stand_in_model(pack)
    face = model.detector().faces[0]
    boxes = [
        {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT},
        {"x": WIDTH + 5, "y": 3, "width": 40, "height": 40},
    ]
    found = pack.run("GPEN_DetectFaces", gpen_model=model, image=photograph(), bounding_boxes=boxes)[0].frames[0]
    assert len(found) == 1
    assert torch.equal(found[0].box, face.box)
    assert torch.equal(found[0].landmarks, face.landmarks)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"face_selection": "all"}, [130, 10, 70]),
        ({"face_selection": "all", "face_numbers": "2,0"}, [70, 130]),
        ({"face_numbers": "1; 7", "sort_by": "x_position"}, [70]),
        ({"face_selection": "largest"}, [130]),
        ({"face_selection": "filter", "sort_by": "area"}, [130]),
        ({"face_selection": "filter", "sort_by": "area", "reverse_order": True}, [70]),
        ({"face_selection": "filter", "sort_by": "x_position", "take_count": 2}, [10, 70]),
        ({"face_selection": "filter", "sort_by": "y_position", "take_count": 0}, [130, 70, 10]),
        ({"face_selection": "filter", "sort_by": "detection_confidence", "take_start": 1}, [10]),
        ({"face_selection": "filter", "take_start": 7}, []),
    ],
)
def test_selection_takes_the_faces_that_its_words_say(
    pack: Pack, choice: dict[str, object], expected: list[int]
) -> None:
    faces = [face_at(pack, 10, 90, 30, 0.95), face_at(pack, 70, 50, 20, 0.99), face_at(pack, 130, 10, 40, 0.91)]
    boxes = pack.run("GPEN_DetectFaces", gpen_model=stand_in_model(pack, faces=faces), image=photograph(), **choice)[1]
    assert [box["x"] for box in boxes[0]] == expected


def test_a_given_box_takes_the_landmarks_found_in_it_and_else_stands_for_an_upright_face(pack: Pack) -> None:
    model = stand_in_model(pack)
    boxes = [{"x": 52, "y": 42, "width": 60, "height": 58}, {"x": 5, "y": 5, "width": 20, "height": 20}]
    faces = pack.run("GPEN_DetectFaces", gpen_model=model, image=photograph(), bounding_boxes=boxes)[0]
    known, unknown = faces.frames[0]
    assert torch.equal(known.landmarks, model.detector().faces[0].landmarks)
    assert torch.allclose(unknown.landmarks.mean(0), torch.tensor([15.0, 16.9]), atol=0.5)


def test_segs_go_out_and_restore_the_same_face(pack: Pack) -> None:
    model, image = stand_in_model(pack, gain=0.5), photograph()
    segs = pack.run("GPEN_FacesToSEGS", gpen_model=model, image=image, faces=detected(pack, model, image))[0]
    assert segs[0] == (HEIGHT, WIDTH)
    result, _, *_, count = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image, segs=segs)
    assert count == 1
    assert float((result - image).abs().max()) > 0.1
    with pytest.raises(ValueError, match=f"{WIDTH}×{HEIGHT}.*{WIDTH}×{HEIGHT + 1}"):
        pack.run("GPEN_RestoreFaces", gpen_model=model, image=torch.zeros(1, HEIGHT + 1, WIDTH, 3), segs=segs)


def test_the_bbox_detector_answers_as_the_impact_pack_asks(pack: Pack) -> None:
    detector = pack.run("GPEN_BBoxDetector", gpen_model=stand_in_model(pack))[0]
    detector.setAux("face")
    (height, width), (region,) = detector.detect(photograph(), 0.5, 4, 2.0, drop_size=10)
    assert (height, width) == (HEIGHT, WIDTH)
    assert list(region.bbox) == [50, 40, 110, 100]
    assert region.crop_region == [20, 10, 140, 130]
    assert region.cropped_mask.shape == (120, 120)
    assert region.cropped_mask.sum() == 68 * 68
    assert detector.detect(photograph(), 0.5, 0, 2.0, drop_size=70)[1] == []
    assert float(detector.detect_combined(photograph(), 0.5, 0).sum()) == 3600


@pytest.mark.parametrize(("dilation", "side"), [(0, 60), (10, 80), (-5, 50), (-40, 0)])
def test_the_combined_mask_grows_and_shrinks_as_the_impact_pack_asks(pack: Pack, dilation: int, side: int) -> None:
    detector = pack.run("GPEN_BBoxDetector", gpen_model=stand_in_model(pack))[0]
    mask = detector.detect_combined(photograph(), 0.5, dilation)
    assert mask.shape == (HEIGHT, WIDTH)
    assert float(mask.sum()) == side**2


def test_without_a_face_the_combined_mask_is_empty(pack: Pack) -> None:
    detector = pack.run("GPEN_BBoxDetector", gpen_model=stand_in_model(pack))[0]
    assert torch.equal(detector.detect_combined(torch.zeros(1, 8, 9, 3), 0.5, 4), torch.zeros(8, 9))


def test_face_mask_covers_the_chosen_regions(pack: Pack) -> None:
    model, image = stand_in_model(pack, parser=True), photograph()
    faces = detected(pack, model, image)
    off = dict.fromkeys(
        ("skin", "nose", "eyes", "brows", "glasses", "ears", "mouth", "hair", "hat", "neck", "cloth"), False
    )

    def area(**on: bool) -> float:
        values = {**off, **on, "feather": 0.0}
        return float(pack.run("GPEN_FaceMask", gpen_model=model, image=image, faces=faces, **values)[0].sum())

    assert area() == 0
    assert area(hair=True, skin=True, eyes=True) == pytest.approx(
        area(hair=True) + area(skin=True) + area(eyes=True), rel=1e-3
    )
    assert 0 < area(eyes=True) < area(hair=True)


def test_faces_that_networks_of_two_sizes_restored_come_as_one_image(pack: Pack) -> None:
    sizes = (64, 64, 128, 64, 96)
    gathered = pack.module("nodes.pictures").Crops(2)
    for number, size in enumerate(sizes, 1):
        gathered.add(torch.full((3, size, size), number / 10))
    image = gathered.images
    assert image.shape == (5, 128, 128, 3)
    for one, number in zip(image, range(1, 6), strict=True):
        torch.testing.assert_close(one, torch.full_like(one, number / 10))


def test_a_small_and_a_large_face_are_restored_in_one_run(pack: Pack) -> None:
    """By the two networks that ship."""
    faces = [face_at(pack, 40, 60, 100, 0.95), face_at(pack, 200, 60, 300, 0.95)]
    model = pack.module("nodes.model").FaceModel(pack.module("gpen_core.weights").load_model(), name="gpen-open")
    model._parts["detector"] = stand_in_model(pack, faces=faces)._parts["detector"]
    image = torch.rand(1, 420, 560, 3, generator=torch.Generator().manual_seed(0))
    restored, _, before, after, boxes, count = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)[:6]
    assert restored.shape == image.shape
    assert count == len(boxes[0]) == 2
    assert before.shape == after.shape == (2, 512, 512, 3)
