"""The second look: what a detector took for a face is judged once more, straightened."""

import numpy as np
import pytest
import torch

from gpen_core.errors import WeightsError
from gpen_core.faces import detect
from gpen_core.faces.detect import RetinaFaceDetector
from gpen_core.faces.second_look import LANDMARKS, SIDE, SecondLook, looked_at_again
from gpen_core.faces.types import Detection
from gpen_core.images import read_picture
from gpen_core.weights.entry import BUNDLED
from gpen_core.weights.tensors import read_tensors

STATE = {
    name: tensor.float() if tensor.is_floating_point() else tensor
    for name, tensor in read_tensors(BUNDLED / "gpen-open-detector.safetensors").tensors.items()
}
ALONE = {name: tensor for name, tensor in STATE.items() if not name.startswith("second_look.")}


def judging(logit: float) -> dict[str, torch.Tensor]:
    """The open detector with a second look that says `logit` of everything."""
    judge = {"second_look.judge.weight": torch.zeros(1, 512), "second_look.judge.bias": torch.tensor([logit])}
    return {**STATE, **judge}


class Seeing(SecondLook):
    """Keeps the crops that it is shown, and says the same of all of them."""

    def __init__(self, logit: float = 0.0) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        self.crops = crops
        return torch.full((len(crops),), self.logit)


@pytest.fixture(scope="module")
def portrait() -> torch.Tensor:
    picture = read_picture(BUNDLED.parent.parent / "examples" / "sent-around.jpg")
    return torch.from_numpy(np.ascontiguousarray(picture.pixels)).permute(2, 0, 1)[None].float() / 255


def found(state: dict[str, torch.Tensor], picture: torch.Tensor, floor: float = 0.3) -> list[Detection]:
    return RetinaFaceDetector(state, floor=floor)(picture)[0]


def test_a_second_look_that_is_not_quite_sure_of_anything_changes_no_face_that_is_sure(portrait: torch.Tensor) -> None:
    without, with_it = found(ALONE, portrait, 0.9), found(judging(5.0), portrait, 0.9)
    assert [face.box.tolist() for face in with_it] == [face.box.tolist() for face in without]


def test_a_second_look_that_believes_nothing_leaves_no_face(portrait: torch.Tensor) -> None:
    assert found(ALONE, portrait)
    assert found(judging(-100.0), portrait) == []


def test_the_score_is_the_lower_of_both(portrait: torch.Tensor) -> None:
    assert found(ALONE, portrait)[0].score > 0.9
    assert found(judging(0.0), portrait)[0].score == pytest.approx(0.5)


def test_what_scores_too_low_is_not_looked_at_again_and_what_is_denied_keeps_a_quarter(
    portrait: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detect, "_FROM_AFAR", ())
    before = [face.score for face in found(ALONE, portrait, 0.05)]
    low, looked_at = [s for s in before if s < 0.3], [s for s in before if s >= 0.3]
    assert low
    assert looked_at
    after = [face.score for face in found(judging(-100.0), portrait, 0.05)]
    assert after == pytest.approx(sorted([*low, *(0.25 * score for score in looked_at)], reverse=True))


@pytest.mark.parametrize("side", [24.0, 90.0, 600.0])
def test_a_face_is_shown_upright_and_in_its_size_whatever_it_is_in_the_picture(side: float) -> None:
    angle = torch.tensor(0.6)
    turn = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
    marks = ((LANDMARKS.float() - SIDE / 2) / SIDE * side) @ turn.T + 400
    rows, columns = torch.meshgrid(torch.arange(800.0), torch.arange(800.0), indexing="ij")
    reach = ((columns - marks[0, 0]) ** 2 + (rows - marks[0, 1]) ** 2).sqrt()
    picture = (reach < side / 12).float().expand(3, -1, -1).contiguous()  # the left eye is a white disc
    look = Seeing().eval()
    looked_at_again(look, picture, torch.tensor([[350.0, 350, 450, 450]]), marks[None], torch.ones(1))
    rows, columns = look.crops[0, 0].gt(0.5).nonzero().float().mean(0)
    assert (columns.item(), rows.item()) == pytest.approx(tuple(LANDMARKS[0].tolist()), abs=1.0)


@pytest.mark.parametrize(
    ("detector", "look", "together"), [(0.99, 4.0, 0.982), (0.99, 1.0, 0.731), (0.7, 6.7, 0.987), (0.4, 3.7, 0.511)]
)
def test_a_doubtful_face_is_believed_only_where_the_second_look_is_very_sure(
    detector: float, look: float, together: float
) -> None:
    box, marks = torch.tensor([[0.0, 0, 64, 64]]), LANDMARKS.float()[None]
    scores = looked_at_again(Seeing(look).eval(), torch.zeros(3, 80, 80), box, marks, torch.tensor([detector]))
    assert scores.item() == pytest.approx(together, abs=1e-3)


def test_landmarks_in_one_point_are_no_face() -> None:
    boxes = torch.tensor([[10.0, 10, 60, 60], [10.0, 10, 60, 60]])
    marks = torch.stack([torch.full((5, 2), 30.0), LANDMARKS.float()])
    scores = looked_at_again(Seeing().eval(), torch.zeros(3, 80, 80), boxes, marks, torch.ones(2))
    assert scores.tolist() == [0.0, 0.5]


def test_weights_of_others_have_no_second_look_and_half_of_one_is_refused() -> None:
    assert RetinaFaceDetector(ALONE).second_look is None
    with pytest.raises(WeightsError, match=r"not a second look's: missing judge\.bias"):
        RetinaFaceDetector({name: tensor for name, tensor in STATE.items() if name != "second_look.judge.bias"})
