"""Every node on stand-in networks: colours, counts, masks, and what it must leave alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_stand_ins import HEIGHT, WIDTH, detected, face_at, photograph, stand_in_model
from nodes_under_test import Pack

COLOURS = {"red": (0.8, 0.1, 0.1), "green": (0.1, 0.8, 0.1), "blue": (0.1, 0.1, 0.8)}


def plain(colour: tuple[float, float, float], count: int = 1) -> torch.Tensor:
    return torch.tensor(colour).expand(count, HEIGHT, WIDTH, 3).clone()


def through_every_node(pack: Pack, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """The IMAGE outputs of each node that has one, when networks change nothing."""
    model = stand_in_model(pack, parser=True)
    faces = detected(pack, model, image)
    crops, cropped = pack.run("GPEN_CropFaces", gpen_model=model, image=image, faces=faces)
    restored = pack.run("GPEN_RestoreCrops", gpen_model=model, crops=crops)[0]
    restored_image, _, before, after, _, _ = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)
    pasted = pack.run("GPEN_PasteFaces", gpen_model=model, image=image, crops=restored, faces=cropped)[0]
    blended = pack.run("GPEN_BlendFaces", image_before=image, image_after=image, strength=0.5)[0]
    inpainter = stand_in_model(pack, task="inpainting")
    hole = torch.zeros(1, HEIGHT, WIDTH)
    inpainted = pack.run("GPEN_InpaintFace", gpen_model=inpainter, image=image, mask=hole)[0]
    return {
        "restored": restored_image,
        "before": before,
        "after": after,
        "crops": crops,
        "restored crops": restored,
        "pasted": pasted,
        "blended": blended,
        "inpainted": inpainted,
    }


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_channels_stay_in_place_through_every_node(pack: Pack, colour: tuple[float, float, float]) -> None:
    for name, image in through_every_node(pack, plain(colour)).items():
        centre = image[0, image.shape[1] // 2, image.shape[2] // 2]
        assert torch.allclose(centre, torch.tensor(colour), atol=1e-3), name


def test_the_preview_keeps_channels_in_place_and_draws_the_box(pack: Pack) -> None:
    model, image = stand_in_model(pack), plain(COLOURS["red"])
    faces = detected(pack, model, image)
    output = pack.nodes["GPEN_PreviewFaces"].execute(image=image, faces=faces)
    drawn = output.args[0]
    assert torch.allclose(drawn[0, 0, 0], torch.tensor(COLOURS["red"]), atol=1 / 255)
    assert torch.allclose(drawn[0, 100, 50], torch.tensor([1.0, 176 / 255, 0.0]), atol=1 / 255)
    assert output.ui.image is drawn


def test_colourising_keeps_luma_and_leaves_the_rest(pack: Pack) -> None:
    weights = torch.tensor([0.299, 0.587, 0.114])
    for colour in COLOURS.values():
        image = plain(colour)
        result, mask, count = pack.run(
            "GPEN_ColouriseFace", gpen_model=stand_in_model(pack, task="colorization"), image=image
        )
        assert count == 1
        assert float(((result - image) @ weights).abs().max()) <= 1 / 255
        outside = mask == 0
        assert torch.equal(result[outside], image[outside])


def test_a_map_in_the_palettes_colours_makes_a_face_with_channels_in_place(pack: Pack) -> None:
    model = stand_in_model(pack, task="segmentation")
    for colour in ((204, 0, 0), (0, 204, 0), (0, 0, 204)):
        shade = torch.tensor(colour) / 255
        face = pack.run("GPEN_SegmentationToFace", gpen_model=model, map=shade.expand(1, 64, 64, 3))[0]
        assert torch.allclose(face[0, 32, 32], shade, atol=1 / 255)


def test_only_pixels_under_the_mask_change(pack: Pack) -> None:
    image = photograph(2)
    before = image.clone()
    result, mask, *_, boxes, count = pack.run(
        "GPEN_RestoreFaces", gpen_model=stand_in_model(pack, gain=0.5), image=image
    )
    assert torch.equal(image, before)
    assert count == 2
    assert [len(frame) for frame in boxes] == [1, 1]
    assert boxes[0][0] == {
        "x": 50.0,
        "y": 40.0,
        "width": 60.0,
        "height": 60.0,
        "label": "face",
        "score": pytest.approx(0.99),
    }
    assert torch.equal(result[mask == 0], image[mask == 0])
    assert float((result - image).abs()[mask > 0.9].mean()) > 0.1


def test_the_node_gives_what_the_core_gives(pack: Pack) -> None:
    model, image = stand_in_model(pack, gain=0.5), photograph(3)
    result = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)[0]
    restorer = pack.module("gpen_core.restore").FaceRestorer(model.network, model.detector())
    for got, picture in zip(result, image, strict=True):
        expected = restorer.restore(picture.numpy()).picture
        assert float((got - torch.from_numpy(expected)).abs().max()) <= 1e-6


def test_what_covers_a_face_is_told_by_what_the_loader_chose(pack: Pack) -> None:
    image, side = photograph(), face_at(pack, 50, 40, 36)
    weights, core = pack.module("gpen_core.weights"), pack.module("gpen_core.restore")
    options = pack.module("nodes.inputs").options_of({"occlusion": True, "keep_detail": False})
    wanted = {}
    for name in ("auto", "contradiction"):
        model = stand_in_model(pack, gain=0.5, faces=[side])
        model._choices["occluder"] = name
        model.network.forward = lambda x: torch.cat([x[:, :, :40] * 0.9, x[:, :, 40:] * 0.2], 2).float()
        occluder = weights.load_occluder(device="cpu") if name == "auto" else name
        restorer = core.FaceRestorer(model.network, model.detector(), occluder=occluder)
        wanted[name] = torch.from_numpy(restorer.restore(image[0].numpy(), options).picture)
        how = {"occlusion": True, "keep_detail": False}
        got = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image, **how)[0][0]
        assert float((got - wanted[name]).abs().max()) <= 1e-6
        crops, faces = pack.run("GPEN_CropFaces", gpen_model=model, image=image, faces=detected(pack, model, image))
        done = pack.run("GPEN_RestoreCrops", gpen_model=model, crops=crops)[0]
        pasted = pack.run("GPEN_PasteFaces", gpen_model=model, image=image, crops=done, faces=faces, occlusion=True)[0][
            0
        ]
        assert float((pasted - wanted[name]).abs().max()) <= 1e-5
    assert not torch.equal(*wanted.values())


@pytest.mark.parametrize("node", ["GPEN_RestoreFaces", "GPEN_RestoreCrops"])
def test_the_input_or_else_the_model_says_how_firm_edges_get(pack: Pack, node: str) -> None:
    model, image = stand_in_model(pack), photograph()
    model.network.forward = lambda x: torch.nn.functional.avg_pool2d(1 - x.float(), 3, 1, 1)
    given = {"image": image} if node == "GPEN_RestoreFaces" else {"crops": image[:, :64, :64]}
    plain, firm = (pack.run(node, gpen_model=model, sharpen=amount, **given)[0] for amount in (0.0, 4.0))
    assert not torch.equal(plain, firm)
    assert torch.equal(pack.run(node, gpen_model=model, **given)[0], plain)
    model.network.card = replace(model.network.card, sharpen=4.0)
    assert torch.equal(pack.run(node, gpen_model=model, **given)[0], firm)
    assert torch.equal(pack.run(node, gpen_model=model, sharpen=-1.0, **given)[0], firm)
    assert torch.equal(pack.run(node, gpen_model=model, sharpen=0.0, **given)[0], plain)


def test_frames_without_a_face_pass_through_and_count_nothing(pack: Pack) -> None:
    model, image = stand_in_model(pack), torch.zeros(2, HEIGHT, WIDTH, 3)
    result, mask, before, after, boxes, count = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)
    assert torch.equal(result, image)
    assert not mask.any()
    assert (boxes, count) == ([[], []], 0)
    assert before.numel()
    assert after.numel()
    crops, faces = pack.run("GPEN_CropFaces", gpen_model=model, image=image, faces=detected(pack, model, image))
    assert crops.shape == (1, 64, 64, 3)
    restored = pack.run("GPEN_RestoreCrops", gpen_model=model, crops=crops)[0]
    assert torch.equal(
        pack.run("GPEN_PasteFaces", gpen_model=model, image=image, crops=restored, faces=faces)[0], image
    )
    inpainter = stand_in_model(pack, task="inpainting")
    filled, _, none = pack.run("GPEN_InpaintFace", gpen_model=inpainter, image=image, mask=torch.ones(1, HEIGHT, WIDTH))
    assert torch.equal(filled, image)
    assert none == 0


def test_a_mask_limits_what_changes(pack: Pack) -> None:
    image = photograph()
    mask = torch.zeros(HEIGHT, WIDTH)
    mask[:, :80] = 1
    result, covered = pack.run("GPEN_RestoreFaces", gpen_model=stand_in_model(pack, gain=0.5), image=image, mask=mask)[
        :2
    ]
    assert torch.equal(result[:, :, 80:], image[:, :, 80:])
    assert not covered[:, :, 80:].any()
    assert float((result - image)[:, 70, 70].abs().max()) > 0.01


def test_alpha_is_kept_and_half_precision_taken(pack: Pack) -> None:
    image = photograph()
    alpha = torch.linspace(0, 1, WIDTH).expand(1, HEIGHT, WIDTH)[..., None]
    rgba = torch.cat((image, alpha), -1).half()
    model = stand_in_model(pack, gain=0.5)
    result = pack.run("GPEN_RestoreFaces", gpen_model=model, image=rgba)[0]
    assert result.shape == (1, HEIGHT, WIDTH, 4)
    assert result.dtype == torch.float32
    expected = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)[0]
    # Half precision has steps of 5e-4, and the face's own noise is told from them.
    assert float((result - torch.cat((expected, alpha), -1)).abs().max()) < 2e-3


def test_a_batch_of_no_pictures_passes_through(pack: Pack) -> None:
    nothing = torch.zeros(0, HEIGHT, WIDTH, 3)
    image, mask, _, _, boxes, count = pack.run("GPEN_RestoreFaces", gpen_model=stand_in_model(pack), image=nothing)
    assert (image.shape, mask.shape, boxes, count) == (nothing.shape, (0, HEIGHT, WIDTH), [], 0)


def test_pictures_that_are_being_trained_on_are_taken(pack: Pack) -> None:
    image = photograph().requires_grad_(True)
    result = pack.run("GPEN_RestoreFaces", gpen_model=stand_in_model(pack), image=image)[0]
    assert not result.requires_grad


@pytest.mark.parametrize("case", [{"visibility": 0.0}, {"mask": torch.zeros(1, HEIGHT, WIDTH)}])
def test_where_nothing_may_change_no_network_runs(pack: Pack, case: dict[str, object]) -> None:
    model = stand_in_model(pack)

    def refuse(*inputs: object) -> None:
        raise AssertionError("a network was asked")

    model.network.forward = refuse
    model.detector().forward = refuse
    image = photograph()
    result, mask, *_ = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image, **case)
    assert torch.equal(result, image)
    assert not mask.any()


def test_a_moved_slider_asks_no_network_again(pack: Pack) -> None:
    model, image = stand_in_model(pack, gain=0.5), photograph()
    asked = []
    for part in (model.network, model.detector()):
        forward = part.forward
        part.forward = lambda *inputs, forward=forward: (asked.append(1), forward(*inputs))[1]
    full = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)[0]
    before = len(asked)
    half = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image, visibility=0.5)[0]
    assert before >= 2
    assert len(asked) == before
    assert torch.allclose(half, (full + image) / 2, atol=1e-5)
    changed = image.clone()
    changed[0, HEIGHT // 2, WIDTH // 2] = 0
    pack.run("GPEN_RestoreFaces", gpen_model=model, image=changed)
    assert len(asked) > before


def test_visibility_of_nothing_leaves_the_picture(pack: Pack) -> None:
    image = photograph()
    result = pack.run("GPEN_RestoreFaces", gpen_model=stand_in_model(pack, gain=0.0), image=image, visibility=0.0)[0]
    assert float((result - image).abs().max()) <= 1e-6


def test_strength_by_region_changes_that_region_only(pack: Pack) -> None:
    model, before = stand_in_model(pack, parser=True), plain((0.2, 0.2, 0.2))
    faces, after = detected(pack, model, before), plain((0.8, 0.8, 0.8))
    mixed = pack.run(
        "GPEN_BlendFaces", image_before=before, image_after=after, hair=0.0, faces=faces, gpen_model=model
    )[0][0, ..., 0]
    assert float(mixed[0, 0]) == pytest.approx(0.8)
    assert float(mixed[35, 80]) == pytest.approx(0.2, abs=0.02)
    assert float(mixed[95, 80]) == pytest.approx(0.8, abs=0.02)


class Twice(torch.nn.Module):
    """An upscaling model that repeats each pixel."""

    scale = 2

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_smoothing_over_time_is_done_in_front_of_an_upscaled_background_too(pack: Pack) -> None:
    """Of an even picture, now brighter, now darker: large faces keep no detail of their own that would flicker."""
    levels = 0.5 + 0.03 * torch.randn(12, 1, 1, 1, generator=torch.Generator().manual_seed(2))
    image, model = levels.expand(12, HEIGHT, WIDTH, 3), stand_in_model(pack, gain=0.8)
    half = torch.zeros(1, *image.shape[1:3])
    half[:, :, :75] = 1
    given = {"gpen_model": model, "image": image, "upscale_model": Twice(), "mask": half}
    plain = pack.run("GPEN_RestoreFaces", **given)
    steady = pack.run("GPEN_RestoreFaces", **given, temporal_smoothing=True)
    inside, large = steady[1].min(0).values > 0.9, Twice()(image.movedim(-1, 1)).movedim(1, -1)

    def flicker(frames: torch.Tensor) -> float:
        return float(frames[:, inside].diff(dim=0).abs().mean())

    assert bool(inside.any())
    assert flicker(steady[0]) < 0.8 * flicker(plain[0])
    assert float((steady[0] - large)[steady[1] == 0].abs().max()) <= 1e-6
    assert not bool(steady[1][:, :, 152:].any())
    assert steady[2].shape == plain[2].shape
    assert float((steady[2] - plain[2]).abs().mean()) < 0.02, "the faces as the network saw them"
    assert steady[4:] == plain[4:]


def test_smoothing_over_time_restores_every_frame_and_evens_out_what_flickers(pack: Pack) -> None:
    generator = torch.Generator().manual_seed(2)
    image = photograph().repeat(12, 1, 1, 1)
    image += 0.05 * torch.randn(image.shape, generator=generator)
    image = image.clamp(0, 1)
    model = stand_in_model(pack)
    plain = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)[0]
    steady, mask, before, after, _, count = pack.run(
        "GPEN_RestoreFaces", gpen_model=model, image=image, temporal_smoothing=True
    )
    inside = mask.min(0).values > 0.9

    def flicker(frames: torch.Tensor) -> float:
        return float(frames[:, inside].diff(dim=0).abs().mean())

    assert count == 12
    assert before.shape == after.shape == (12, 64, 64, 3)
    assert flicker(steady) < 0.8 * flicker(plain)
    assert torch.equal(steady[mask == 0], image[mask == 0])
