"""Finding faces: anchors, looks, duplicates, turns, selection."""

import math
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from gpen_core.errors import ConfigError, DeviceError, FaceError, InputError, MissingPackageError, WeightsError
from gpen_core.faces.anchors import anchors, decode_boxes, decode_landmarks
from gpen_core.faces.detect import RetinaFaceDetector, _confirmed, backbone_of
from gpen_core.faces.duplicates import distinct, strongest
from gpen_core.faces.library import library_class
from gpen_core.faces.parse import ParseNetParser
from gpen_core.faces.retinaface import MobileRetinaFace
from gpen_core.faces.select import select
from gpen_core.faces.types import Detection
from gpen_core.images import as_picture
from gpen_core.options import Selection
from gpen_core.restore.detect import find_faces, find_faces_together


def face(x: float, y: float, side: float, score: float = 0.95) -> Detection:
    marks = torch.tensor([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    corner = torch.tensor([x, y])
    return Detection(box=torch.cat([corner, corner + side]), landmarks=corner + marks * side, score=score)


@pytest.fixture(scope="module")
def retinaface() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    kind = library_class("facexlib.detection.retinaface", "RetinaFace")
    return kind(network_name="mobile0.25", device=torch.device("cpu")).state_dict()


def test_anchors_agree_with_their_slow_form() -> None:
    expected = []
    for stride, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for row in range(math.ceil(50 / stride)):
            for column in range(math.ceil(70 / stride)):
                expected += [[(column + 0.5) * stride, (row + 0.5) * stride, side] for side in sides]
    assert anchors(50, 70).tolist() == expected


def test_zero_offsets_give_the_anchor_itself() -> None:
    anchor = torch.tensor([[100.0, 60.0, 32.0]])
    assert decode_boxes(torch.zeros(1, 4), anchor).tolist() == [[84, 44, 116, 76]]
    assert decode_landmarks(torch.zeros(1, 10), anchor).tolist() == [[[100, 60]] * 5]


def test_the_backbone_is_read_off_the_weights(retinaface: dict[str, torch.Tensor]) -> None:
    assert RetinaFaceDetector(retinaface).backbone == "mobile0.25"
    assert backbone_of({"module.body.layer4.0.conv1.weight": torch.zeros(1)}) == "resnet50"
    with pytest.raises(WeightsError, match="not RetinaFace's"):
        backbone_of({"conv.weight": torch.zeros(1)})


def test_missing_and_misshapen_weights_are_named(retinaface: dict[str, torch.Tensor]) -> None:
    key = "ssh1.conv3X3.0.weight"
    with pytest.raises(WeightsError, match=f"missing {key}"):
        RetinaFaceDetector({k: v for k, v in retinaface.items() if k != key})
    with pytest.raises(WeightsError, match=f"{key} has shape"):
        RetinaFaceDetector({**retinaface, key: torch.zeros(1)})


def test_a_picture_is_judged_alone_whatever_its_batch(retinaface: dict[str, torch.Tensor]) -> None:
    detector = RetinaFaceDetector(retinaface, floor=0.4)
    images = torch.rand(2, 3, 40, 48, generator=torch.Generator().manual_seed(1))
    together = detector(images)
    for index in range(2):
        alone = detector(images[index : index + 1])[0]
        assert len(alone) == len(together[index]) > 0
        for a, b in zip(alone, together[index], strict=True):
            torch.testing.assert_close(a.box, b.box, atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3, 90)])
def test_tiny_pictures_are_looked_at_without_complaint(
    retinaface: dict[str, torch.Tensor], size: tuple[int, int]
) -> None:
    assert len(RetinaFaceDetector(retinaface)(torch.rand(1, 3, *size))) == 1


def test_the_detector_refuses_integers(retinaface: dict[str, torch.Tensor]) -> None:
    with pytest.raises(InputError, match=r"uint8.*expected floats"):
        RetinaFaceDetector(retinaface)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_the_small_network_is_facexlib_s_to_a_millionth(retinaface: dict[str, torch.Tensor]) -> None:
    kind = library_class("facexlib.detection.retinaface", "RetinaFace")
    theirs, ours = kind(network_name="mobile0.25", device=torch.device("cpu")).eval(), MobileRetinaFace().eval()
    source = torch.Generator().manual_seed(2)
    state = {
        key: value if value.ndim == 0 else value + 0.1 * torch.rand(value.shape, generator=source)
        for key, value in retinaface.items()
    }
    theirs.load_state_dict(state)
    ours.load_state_dict(state)
    picture = torch.rand(2, 3, 70, 90, generator=source) * 255 - 110
    with torch.no_grad():
        for mine, wanted in zip(ours(picture), theirs(picture), strict=True):
            torch.testing.assert_close(mine, wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_the_strongest_boxes_are_those_of_torchvision(count: int) -> None:
    source = torch.Generator().manual_seed(3)
    corner, side = torch.rand(count, 2, generator=source) * 90, torch.rand(count, 2, generator=source) * 40 + 1
    boxes, scores = torch.cat([corner, corner + side], 1), torch.rand(count, generator=source)
    assert (
        strongest(boxes, scores, 0.4).tolist() == library_class("torchvision.ops", "nms")(boxes, scores, 0.4).tolist()
    )


def test_a_box_inside_another_is_the_same_face() -> None:
    boxes = torch.tensor([[0.0, 0, 100, 100], [30, 30, 60, 60], [2, 1, 103, 99], [200, 0, 260, 60]])
    assert [index for index, _ in distinct(boxes, torch.tensor([0.98, 0.985, 0.99, 0.95]), 0.4)] == [2, 3]


def test_a_part_of_a_face_that_the_coarser_look_does_not_see_is_no_face() -> None:
    whole, part, small = [100.0, 100, 500, 500], [120.0, 50, 280, 210], [600.0, 600, 660, 660]
    marks = torch.zeros(3, 5, 2)
    fine = (torch.tensor([part, small, whole]), marks, torch.tensor([0.97, 0.95, 0.9]))
    coarse = (torch.tensor([whole]), marks[:1], torch.tensor([0.99]))
    boxes, _, scores = _confirmed([fine, coarse], [1.0, 0.4])
    assert boxes.tolist() == [part, small, whole, whole]
    # At 0.4 of the size the part has 64 px and is not there, the small one 24 px: too small to be seen.
    assert scores.tolist() == pytest.approx([0.0, 0.95, 0.9, 0.99])


class Upright:
    """Finds a face only where a white dot lies above a grey one, as eyes lie above a mouth."""

    longest_side = None

    def __call__(self, images: torch.Tensor) -> list[list[Detection]]:
        found: list[list[Detection]] = []
        for image in images:
            white, grey = ((image[0] - value).abs().lt(0.1).nonzero() for value in (1.0, 0.5))
            (wy, wx), (gy, gx) = white[0].tolist(), grey[0].tolist()
            upright = wx == gx and wy < gy
            found.append([face(wx - 4, wy - 4, 20.0)] if upright else [])
        return found


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_lying_face_is_found_when_asked_and_stands_upright_in_its_landmarks(turns: int) -> None:
    upright = np.zeros((60, 80, 3), np.uint8)
    upright[20, 30], upright[32, 30] = 255, 128
    turned = np.ascontiguousarray(np.rot90(upright, turns))
    faces = find_faces(Upright(), as_picture(turned), Selection(rotations=True))
    assert len(faces) == 1
    assert len(find_faces(Upright(), as_picture(turned), Selection())) == (turns == 0)
    marks = torch.tensor(np.argwhere(turned[..., 0] == 255)[0][::-1].copy())
    x1, y1, x2, y2 = faces[0].box.tolist()
    assert x1 <= marks[0] <= x2
    assert y1 <= marks[1] <= y2
    eyes, mouth = faces[0].landmarks[:2].mean(0), faces[0].landmarks[3:].mean(0)
    up = [(0, -1), (-1, 0), (0, 1), (1, 0)][turns]
    direction = (eyes - mouth) / (eyes - mouth).norm()
    torch.testing.assert_close(direction, torch.tensor(up, dtype=torch.float32), atol=1e-4, rtol=0)


def test_boxes_come_back_in_pixels_of_the_picture_that_was_shrunk() -> None:
    class Fixed:
        longest_side = 50

        def __call__(self, images: torch.Tensor) -> list[list[Detection]]:
            assert tuple(images.shape) == (1, 3, 25, 50)
            return [[face(10, 5, 10)]]

    found = find_faces(Fixed(), as_picture(np.zeros((100, 200, 3), np.uint16)), Selection())
    assert found[0].box.tolist() == [41.5, 21.5, 81.5, 61.5]


def chosen(faces: Sequence[Detection], **selection: object) -> list[float]:
    return [one.size for one in select(faces, Selection(**selection))]


def test_selection_by_score_size_order_index_and_number() -> None:
    faces = [face(50, 0, 30, 0.99), face(0, 40, 20, 0.95), face(20, 20, 80, 0.92), face(0, 0, 10, 0.5)]
    assert chosen(faces) == [30, 20, 80]
    assert chosen(faces, threshold=0.4, max_size=25) == [20, 10]
    assert chosen(faces, order="size") == [80, 30, 20]
    assert chosen(faces, order="left") == [20, 80, 30]
    assert chosen(faces, order="top", indices=(0, 2)) == [30, 20]
    assert chosen(faces, largest=2) == [30, 80]
    with pytest.raises(FaceError, match=r"face 7 was asked for; 3 were found"):
        chosen(faces, indices=(7,))


@pytest.mark.parametrize("wrong", [{"threshold": 2}, {"min_size": 9, "max_size": 3}, {"order": "age"}, {"largest": 0}])
def test_a_selection_checks_itself(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Selection(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"box": [0, 0, 0, 5]}, {"box": [0, 0, float("nan"), 5]}, {"landmarks": [[0, 0]] * 4}]
)
def test_a_detection_checks_itself(wrong: dict[str, object]) -> None:
    with pytest.raises(FaceError):
        Detection(**{"box": [0, 0, 5, 5], "landmarks": [[0, 0]] * 5, **wrong})


def test_a_missing_package_is_named_with_the_remedy() -> None:
    with pytest.raises(MissingPackageError, match=r"no_such_package.*-m pip install no_such_package`"):
        library_class("no_such_package.part", "Thing")


def test_a_package_that_does_not_load_is_told_from_a_missing_one(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    Path(f"{tmp_path}/broken_binding.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DeviceError, match=r"libGL\.so\.1.*-m pip install --upgrade facexlib"):
        library_class("broken_binding", "Thing")


def test_the_parser_refuses_another_size_and_other_weights() -> None:
    with pytest.raises(WeightsError, match="not ParseNet's"):
        ParseNetParser({})
    kind = library_class("facexlib.parsing.parsenet", "ParseNet")
    parser = ParseNetParser(kind(in_size=512, out_size=512, parsing_ch=19).state_dict())
    with pytest.raises(InputError, match=r"expected \(N, 3, 512, 512\)"):
        parser(torch.zeros(1, 3, 64, 64))


def test_importing_the_steps_brings_in_neither_facexlib_nor_torchvision_nor_opencv() -> None:
    code = "import sys, gpen_core.restore; print([m for m in ('facexlib', 'torchvision', 'cv2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pictures_are_looked_at_together_as_each_alone(monkeypatch):
    batches: list[int] = []

    class Watched(Upright):
        def __call__(self, pictures: torch.Tensor) -> list[list[Detection]]:
            batches.append(len(pictures))
            return [found for picture in pictures for found in super(Watched, self).__call__(picture[None])]

    monkeypatch.setattr("gpen_core.restore.detect._PIXELS", 2 * 60 * 60)
    one = np.zeros((60, 60, 3), np.uint8)
    one[20, 30], one[32, 30] = 255, 128
    pictures = [as_picture(np.rot90(one, turns).copy()) for turns in range(5)]
    for selection, sizes in ((Selection(), [2, 2, 1]), (Selection(rotations=True), [2] * 4 + [2] * 4 + [1] * 4)):
        batches.clear()
        together = find_faces_together(Watched(), pictures, selection)
        assert batches == sizes
        alone = [find_faces(Upright(), picture, selection) for picture in pictures]
        assert [[face.box.tolist() for face in faces] for faces in together] == [
            [face.box.tolist() for face in faces] for faces in alone
        ]


def test_the_detector_looks_at_pictures_side_by_side(two_cores, retinaface):
    detector = RetinaFaceDetector(retinaface, floor=0.4)
    images = torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(1))
    seen: set[int] = set()
    detector.network.register_forward_pre_hook(lambda *_: seen.add(torch.get_num_threads()))
    together = detector(images)
    assert seen == {1}
    assert [len(faces) for faces in together] == [len(detector(image[None])[0]) for image in images]
    assert seen == {1, 2}
