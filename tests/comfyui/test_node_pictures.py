"""What pictures keep on their way through the nodes: alpha, what nobody masked, frames without faces."""

from __future__ import annotations

import torch
from face_stand_ins import detected, photograph, stand_in_model
from nodes_under_test import Pack


def test_strength_by_region_leaves_frames_without_a_face_to_the_rest(pack: Pack) -> None:
    model, before = stand_in_model(pack, parser=True), photograph(3)
    before[1] = 0
    faces = detected(pack, model, before)
    assert [len(frame) for frame in faces.frames] == [1, 0, 1]
    mixed = pack.run(
        "GPEN_BlendFaces", image_before=before, image_after=1 - before, hair=0.0, faces=faces, gpen_model=model
    )[0]
    assert torch.allclose(mixed[1], 1 - before[1], atol=1e-6)
    assert all(float((mixed[k] - 1 + before[k]).abs().max()) > 0.05 for k in (0, 2))
