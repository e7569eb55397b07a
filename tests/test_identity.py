"""Identity before and after, and strength held back for its sake."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from task_models import Painter, face_at

from gpen_core.errors import ConfigError
from gpen_core.faces.geometry import template
from gpen_core.images import as_picture
from gpen_core.measures.identity import Identity
from gpen_core.options import Blending, RestoreOptions
from gpen_core.restore import FaceRestorer


def coarse(faces: torch.Tensor) -> torch.Tensor:
    """An embedding that sees eight by eight blocks of each channel."""
    return F.adaptive_avg_pool2d(faces, 8).flatten(1)


def photograph() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return noise.repeat(8, 0).repeat(8, 1)


def restorer() -> FaceRestorer:
    return FaceRestorer(
        Painter("restoration", (0.9, 0.2, 0.1)), lambda pictures: [[face_at(20, 20, 50)]] * len(pictures)
    )


def test_a_face_is_itself():
    crops = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(Identity(coarse, "ffhq").similarity(crops, crops), torch.ones(2))


def test_landmarks_land_where_arcface_wants_them():
    crop = torch.zeros(3, 256, 256)
    for x, y in template("ffhq", 256).round().int().tolist():
        crop[:, y - 2 : y + 3, x - 2 : x + 3] = 1
    seen = []
    Identity(lambda faces: (seen.append(faces), coarse(faces))[1], "ffhq").embeddings(crop[None])
    face = (seen[0][0, 0] + 1) / 2
    for x, y in ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)):
        assert face[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4].max() > 0.5


@pytest.mark.parametrize("least", [0.3, 0.6, 0.9])
def test_strength_falls_until_the_identity_holds(least):
    identity = Identity(coarse, "gpen")
    free = restorer().restore(photograph(), RestoreOptions())
    held = restorer().restore(photograph(), strength_of=identity.keeping(least))
    face = free.faces[0]
    strength = identity.strength_for(face.crop, face.restored, least)
    blended = torch.lerp(face.crop, face.restored, strength)
    assert float(identity.similarity(face.crop[None], blended[None])) >= least
    assert 0 < strength < 1
    before = photograph().astype(int)
    assert np.abs(held.picture.astype(int) - before).sum() < np.abs(free.picture.astype(int) - before).sum()


def test_a_face_that_stays_the_same_person_keeps_its_strength():
    options = RestoreOptions(blending=Blending(strength=0.5))
    free = restorer().restore(photograph(), options)
    held = restorer().restore(photograph(), options, strength_of=Identity(coarse, "gpen").keeping(-1.0))
    np.testing.assert_array_equal(held.picture, free.picture)


def test_the_report_names_the_identity_and_warns_of_another_person():
    result = restorer().restore(photograph(), RestoreOptions())
    spread = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    other = Identity(lambda faces: torch.stack([spread[int(face.std((1, 2)).max() < 0.1)] for face in faces]), "gpen")
    figures = other.figures(result.faces[0], as_picture(result.picture))
    assert figures["identity"] < 0.3
    assert "another person" in figures["warnings"][0]
    same = Identity(lambda faces: torch.ones(len(faces), 4), "gpen").figures(
        result.faces[0], as_picture(result.picture)
    )
    assert same == {"identity": pytest.approx(1.0)}


def test_a_least_identity_is_a_cosine():
    with pytest.raises(ConfigError, match="min_identity is 2; expected a cosine"):
        Identity(coarse, "gpen").keeping(2.0)
