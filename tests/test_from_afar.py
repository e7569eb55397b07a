"""Pictures that seem to show nobody are looked at from afar, where badly damaged faces look like faces again."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_second_look import ALONE, STATE

from gpen_core.data import Degradation, Pass, Ranges
from gpen_core.faces import detect
from gpen_core.faces.detect import RetinaFaceDetector
from gpen_core.images import read_picture
from gpen_core.weights.entry import BUNDLED

SEVERE = Pass(blur=(3.5, 10.5), shrink=(4.5, 10.5), filters=("area", "linear"), noise=(6, 24), quality=(28, 75))


def portrait(name: str) -> torch.Tensor:
    """(1, 3, 256, 256): the face of an example and what is around it."""
    pixels = np.ascontiguousarray(read_picture(BUNDLED.parent.parent / "examples" / name).pixels)
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return F.interpolate(picture[..., 16:208, 70:262], (256, 256), mode="bilinear", antialias=True)


@pytest.mark.parametrize(("name", "least"), [("sent-around.jpg", 21), ("kept-in-a-drawer.jpg", 17)])
def test_severely_damaged_faces_are_found_and_lie_where_they_are(name: str, least: int) -> None:
    detector = RetinaFaceDetector(STATE)
    damage = Degradation(Ranges(chains=((SEVERE,),), measured_at=512), jpeg="torch")
    sound = detector(portrait(name))[0][0]
    eyes = (sound.landmarks[0] - sound.landmarks[1]).norm()
    sure = 0
    for index in range(24):
        faces = [face for face in detector(damage.degrade(portrait(name), 0, [index]))[0] if face.score >= 0.9]
        assert len(faces) < 2
        sure += sum(float((face.landmarks.mean(0) - sound.landmarks.mean(0)).norm() / eyes) < 0.3 for face in faces)
    assert sure >= least


def sizes_of_the_looks(
    state: dict[str, torch.Tensor], picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    monkeypatch.setattr(detect, "is_blurred", lambda image, box: False)
    seen, look = [], RetinaFaceDetector._look

    def spy(self: RetinaFaceDetector, images: torch.Tensor, height: int, width: int, coarsest: bool) -> object:
        seen.append(height)
        return look(self, images, height, width, coarsest)

    monkeypatch.setattr(RetinaFaceDetector, "_look", spy)
    RetinaFaceDetector(state)(picture)
    return seen


def test_only_a_picture_without_faces_is_looked_at_from_afar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sizes_of_the_looks(STATE, portrait("sent-around.jpg"), monkeypatch) == [256]
    assert sizes_of_the_looks(STATE, torch.full((1, 3, 256, 256), 0.5), monkeypatch) == [256, 128, 64]


def test_without_a_second_look_nothing_is_looked_at_from_afar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sizes_of_the_looks(ALONE, torch.full((1, 3, 256, 256), 0.5), monkeypatch) == [256]


def test_what_is_not_blurred_counts_only_as_it_was_seen_from_near(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = RetinaFaceDetector(STATE)
    damaged = Degradation(Ranges(chains=((SEVERE,),), measured_at=512), jpeg="torch").degrade(
        portrait("sent-around.jpg").expand(12, -1, -1, -1), 0, range(12)
    )

    def sure() -> int:
        return sum(face.score >= 0.9 for found in detector(damaged) for face in found)

    from_afar = sure()
    monkeypatch.setattr(detect, "is_blurred", lambda image, box: False)
    sharp = sure()
    monkeypatch.setattr(detect, "_FROM_AFAR", ())
    assert from_afar > sharp == sure()
