"""What pictures keep on their way through the nodes: alpha, what nobody masked, frames without faces."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from face_stand_ins import HEIGHT, WIDTH, detected, photograph, stand_in_model
from nodes_under_test import Pack

PLACEHOLDER = torch.zeros(1, 64, 64)


def with_alpha(image: torch.Tensor) -> torch.Tensor:
    alpha = torch.linspace(0, 1, WIDTH).expand(len(image), HEIGHT, WIDTH)[..., None]
    return torch.cat((image, alpha), -1)


def through(pack: Pack, node: str, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The picture that `node` makes of `image`, by networks that darken."""
    task = {"GPEN_ColouriseFace": "colorization", "GPEN_InpaintFace": "inpainting"}.get(node, "restoration")
    model = stand_in_model(pack, task=task, gain=0.5)
    given: dict[str, Any] = {} if mask is None else {"mask": mask}
    if node == "GPEN_BlendFaces":
        result = pack.run(node, image_before=image, image_after=image * 0.5, strength=1.0, **given)[0]
    elif node == "GPEN_PasteFaces":
        crops, faces = pack.run("GPEN_CropFaces", gpen_model=model, image=image, faces=detected(pack, model, image))
        result = pack.run(node, gpen_model=model, image=image, crops=crops * 0.5, faces=faces)[0]
    else:
        result = pack.run(node, gpen_model=model, image=image, **given)[0]
    return result


@pytest.mark.parametrize(
    "node", ["GPEN_RestoreFaces", "GPEN_PasteFaces", "GPEN_BlendFaces", "GPEN_ColouriseFace", "GPEN_InpaintFace"]
)
def test_every_node_that_gives_a_picture_back_keeps_its_alpha(pack: Pack, node: str) -> None:
    image = with_alpha(photograph())
    assert torch.equal(through(pack, node, image)[..., 3], image[..., 3])


@pytest.mark.parametrize("node", ["GPEN_RestoreFaces", "GPEN_BlendFaces", "GPEN_InpaintFace"])
def test_a_mask_that_nobody_painted_counts_as_none(pack: Pack, node: str) -> None:
    """Load Image gives one for every picture; else these nodes would do nothing, and not say why."""
    image = photograph()
    image[:, 70:80, 60:100] = 1.0
    result = through(pack, node, image, PLACEHOLDER)
    assert torch.equal(result, through(pack, node, image))
    assert not torch.equal(result, image)


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


def test_in_a_batch_a_picture_whose_mask_lies_beside_the_face_stays_and_the_others_are_filled(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pack.module("nodes.adapter"), "say", lambda node, text: said.append(text))
    image, mask = photograph(3), torch.zeros(3, HEIGHT, WIDTH)
    mask[0, 60:80, 70:90] = mask[1, -4:, -4:] = 1
    model = stand_in_model(pack, task="inpainting", gain=0.5)
    filled = pack.run("GPEN_InpaintFace", gpen_model=model, image=image, mask=mask)[0]
    assert [torch.equal(one, other) for one, other in zip(filled, image, strict=True)] == [False, True, True]
    pack.run("GPEN_InpaintFace", gpen_model=model, image=image, mask=mask[2:])
    pack.run("GPEN_InpaintFace", gpen_model=model, image=image * 0, mask=mask)
    assert said == ["filled in 1 of 3", "nothing to fill", "no face found"]
    with pytest.raises(pack.module("gpen_core.errors").FaceError, match="none of the mask lies on a face"):
        pack.run("GPEN_InpaintFace", gpen_model=model, image=image[1:2], mask=mask[1:2])
