"""Options of the core as inputs of nodes: their places, and what comes of their values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from face_stand_ins import HEIGHT, WIDTH, detected, face_at, photograph, stand_in_model
from nodes_under_test import Pack
from test_large_faces import sharp


def test_an_option_that_came_later_is_an_optional_input_at_the_end(pack: Pack) -> None:
    for name in ("GPEN_RestoreFaces", "GPEN_PasteFaces"):
        part = next(part for part in pack.nodes[name].GET_SCHEMA().inputs if part.id == "grain")
        assert part.optional
        assert (part.options["min"], part.options["max"], part.options["default"]) == (0.0, 1.0, 0.0)
    model, generator = stand_in_model(pack), torch.Generator().manual_seed(0)
    image = 0.5 + 0.05 * torch.randn(1, HEIGHT, WIDTH, 3, generator=generator)
    model.network.gain = 0.0
    plain, grainy = (pack.run("GPEN_RestoreFaces", gpen_model=model, image=image, grain=g)[0] for g in (0.0, 1.0))
    assert float((grainy - plain).std()) > 0.01
    with pytest.raises(pack.module("gpen_core.errors").ConfigError, match="grain is 2; expected a number from 0 to 1"):
        pack.run("GPEN_RestoreFaces", gpen_model=model, image=image, grain=2)
    with pytest.raises(pack.module("gpen_core.errors").ConfigError, match="no input is called grains"):
        pack.run("GPEN_RestoreFaces", gpen_model=model, image=image, grains=1)


@pytest.mark.parametrize("node", ["GPEN_RestoreFaces", "GPEN_RestoreAdvanced"])
def test_a_large_sound_face_is_restored_where_keep_detail_is_off(pack: Pack, node: str) -> None:
    last = pack.nodes[node].GET_SCHEMA().inputs[-1]
    assert (last.id, last.optional, last.options["default"]) == ("keep_detail", True, True)
    model = stand_in_model(pack, faces=[face_at(pack, 60, 50, 200)])
    model.network.forward = lambda x: 0.7 * x + 0.3 * F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    image = torch.from_numpy(sharp()).float()[None] / 255
    given = {"gpen_model": model, "image": image}
    if node == "GPEN_RestoreAdvanced":
        given |= {"faces": {"faces": "all"}, "mask_kind": {"mask_kind": "auto"}}
    kept, usual, let_go = (
        pack.run(node, **given, **how)[0] for how in ({"keep_detail": True}, {}, {"keep_detail": False})
    )
    assert torch.equal(kept, usual)
    assert float((kept - image).abs().mean()) < 0.1 * float((let_go - image).abs().mean())


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("half", [20, 36, 130])
def test_the_steps_give_what_the_one_node_gives_where_both_keep_or_neither(pack: Pack, keep: bool, half: int) -> None:
    model, image = stand_in_model(pack, gain=0.5, faces=[face_at(pack, 50, 40, half)]), photograph(2)
    whole, mask = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image, keep_detail=keep)[:2]
    crops, faces = pack.run("GPEN_CropFaces", gpen_model=model, image=image, faces=detected(pack, model, image))
    restored = pack.run("GPEN_RestoreCrops", gpen_model=model, crops=crops)[0]
    given = {"gpen_model": model, "image": image, "crops": restored, "faces": faces}
    pasted, paste_mask = pack.run("GPEN_PasteFaces", **given, keep_detail=keep)
    assert float((whole - pasted).abs().max()) <= 1e-5
    assert float((mask - paste_mask).abs().max()) <= 1e-5


def test_crops_go_back_as_they_are_where_nothing_is_said(pack: Pack) -> None:
    last = pack.nodes["GPEN_PasteFaces"].GET_SCHEMA().inputs[-1]
    assert (last.id, last.optional, last.options["default"]) == ("keep_detail", True, False)
    model, image = stand_in_model(pack, faces=[face_at(pack, 60, 50, 200)]), photograph()
    crops, faces = pack.run("GPEN_CropFaces", gpen_model=model, image=image, faces=detected(pack, model, image))
    given = {"gpen_model": model, "image": image, "crops": (crops * 0.9).clamp(0, 1), "faces": faces}
    how = ({}, {"keep_detail": False}, {"keep_detail": True})
    usual, let_go, kept = (pack.run("GPEN_PasteFaces", **given, **each)[0] for each in how)
    assert torch.equal(usual, let_go)
    assert float((kept - usual).abs().max()) > 0.01


def test_whatever_comes_over_an_options_wire_is_taken_or_refused_by_its_name(pack: Pack) -> None:
    inputs, error = pack.module("nodes.inputs"), pack.module("gpen_core.errors").ConfigError
    names = [part.id for part in pack.nodes["GPEN_RestoreFaces"].GET_SCHEMA().inputs if part.id in inputs.option_ids()]
    assert {"visibility", "mask_kind", "detection_threshold", "sharpen", "grain"} <= set(names)
    strange = [float("nan"), -7.5, 10**400, "", "none such", b"x", [1.0], {"a": 1}, object(), torch.rand(2, 2)]
    for name in names:
        for value in strange:
            refused = ""
            try:
                inputs.options_of({name: value})
            except error as said:
                refused = str(said)
            assert not refused or refused.startswith(f"{name} is "), refused
            assert refused or value in ("", -7.5), f"{name} took {value!r}"
