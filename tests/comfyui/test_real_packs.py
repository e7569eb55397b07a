"""Graphs that join this pack with the core's face meshes, the Impact Pack and a video pack, in a real ComfyUI.

COMFYUI_PACKS=/folder/of/packs brings packs beside those of test_real_comfyui.py; what is not there is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfyui_server import Server, defaults, in_the_engine
from real_graphs import example, frames_of, id_of, load_and_detect, pixels_of, read, restore_graph

from gpen_core import FaceRestorer, load_model
from gpen_core.faces.types import Detection
from gpen_core.options import RestoreOptions
from gpen_core.video import Smoothing, restore_frames
from gpen_core.weights import load_detector

pytestmark = [pytest.mark.comfyui, pytest.mark.timeout(1800)]

#: Points of a face mesh that stand for eyes, nose and corners of the mouth, in the order of five landmarks.
MESH = ((33, 133, 159, 145), (263, 362, 386, 374), (1,), (61,), (291,))


def need(server: Server, *names: str) -> None:
    known = server.get("/object_info")
    for name in names:
        if name not in known:
            pytest.skip(f"{name} is not in this ComfyUI: put its pack into a folder and name it by COMFYUI_PACKS")


def node(kind: str, **values: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": values}


def restored_by_python(path: Path, faces: list[Detection]) -> np.ndarray:
    restorer = FaceRestorer(load_model(device="cpu", precision="fp32"), load_detector(device="cpu"))
    return np.asarray(restorer.restore(read(path), RestoreOptions(), detections=faces).picture) * 255


def shown(server: Server, nodes: dict[str, Any], source: str) -> tuple[np.ndarray, int]:
    """The saved picture of a restoring node, and its number of faces."""
    nodes["count"] = node("PreviewAny", source=[source, 5])
    nodes["saved"] = node("SaveImage", images=[source, 0], filename_prefix="joined")
    outputs = server.run(nodes, seconds=900)
    return pixels_of(server.saved(outputs, "saved")[0]), int(outputs["count"]["text"][0])


def write_mesh(path: Path, face: Detection, width: int, height: int) -> None:
    """A mesh whose five points are the face's, from the picture's middle, in longer sides of it."""
    x1, y1, x2, y2 = face.box.tolist()
    over = np.random.default_rng(0).uniform((x1, y1), (x2, y2), (478, 2))
    mesh = (over - (width / 2, height / 2)) / max(width, height)
    points = (face.landmarks.numpy() - (width / 2, height / 2)) / max(width, height)
    for point, places in zip(points, MESH, strict=True):
        mesh[list(places)] = point
    np.save(path, mesh)


@pytest.mark.parametrize("wire", ["landmarks", "boxes"])
def test_faces_that_the_cores_face_meshes_find_are_restored(wire: str, server: Server, tmp_path: Path) -> None:
    need(server, "MediaPipeFaceLandmarker", "GPEN_RestoreAdvanced")
    picture = server.base / "input" / "portrait.png"
    (face,) = load_and_detect(picture)
    write_mesh(tmp_path / "mesh.npy", face, *example().size)
    in_the_engine("landmarker", server, "mesh.safetensors", str(tmp_path / "mesh.npy"))
    nodes = restore_graph([])
    image = [id_of(nodes, "LoadImage"), 0]
    nodes["loader"] = node("LoadMediaPipeFaceLandmarker", model_name="mesh.safetensors")
    settings = {"detector_variant": "short", "num_faces": 1, "min_confidence": 0.5, "missing_frame_fallback": "empty"}
    nodes["mesh"] = node("MediaPipeFaceLandmarker", face_detection_model=["loader", 0], image=image, **settings)
    restore = id_of(nodes, "GPEN_RestoreFaces")
    given = {"landmarks": ("face_landmarks", 0), "boxes": ("bounding_boxes", 1)}[wire]
    nodes[restore]["inputs"][given[0]] = ["mesh", given[1]]
    found, count = shown(server, nodes, restore)
    assert count == 1
    assert np.abs(found - restored_by_python(picture, [face])).max() <= 2


def test_one_socket_takes_what_the_cores_face_meshes_give(server: Server, tmp_path: Path) -> None:
    need(server, "MediaPipeFaceLandmarker", "GPEN_RestoreAdvanced")
    picture = server.base / "input" / "portrait.png"
    (face,) = load_and_detect(picture)
    write_mesh(tmp_path / "mesh.npy", face, *example().size)
    in_the_engine("landmarker", server, "mesh.safetensors", str(tmp_path / "mesh.npy"))
    settings = {"detector_variant": "short", "num_faces": 1, "min_confidence": 0.5, "missing_frame_fallback": "empty"}
    counts = []
    for slot in (0, 1):
        nodes = {
            "image": node("LoadImage", image="portrait.png"),
            "loader": node("LoadMediaPipeFaceLandmarker", model_name="mesh.safetensors"),
            "mesh": node("MediaPipeFaceLandmarker", face_detection_model=["loader", 0], image=["image", 0], **settings),
            "restore": node(
                "GPEN_RestoreAdvanced",
                image=["image", 0],
                **{
                    **defaults(server, "GPEN_RestoreAdvanced"),
                    "faces": "all",
                    "mask_kind": "ellipse",
                    "mask_kind.feather": 0.1,
                },
                given_faces=["mesh", slot],
            ),
        }
        counts.append(shown(server, nodes, "restore")[1])
    assert counts == [1, 1]


def test_the_impact_packs_detector_node_runs_our_detector_and_its_segs_are_restored(server: Server) -> None:
    need(server, "BboxDetectorSEGS", "ImpactSEGSOrderedFilter")
    picture = server.base / "input" / "group.png"
    faces = sorted(load_and_detect(picture), key=lambda face: float(face.box[0]))
    assert len(faces) == 2
    nodes = restore_graph([])
    loader = id_of(nodes, "LoadImage")
    nodes[loader]["inputs"]["image"] = "group.png"
    nodes["detector"] = node("GPEN_BBoxDetector", gpen_model=[id_of(nodes, "GPEN_LoadModel"), 0])
    wanted = {"threshold": 0.5, "dilation": 0, "crop_factor": 1.5, "drop_size": 10, "labels": "all"}
    nodes["segs"] = node("BboxDetectorSEGS", bbox_detector=["detector", 0], image=[loader, 0], **wanted)
    nodes["left"] = node(
        "ImpactSEGSOrderedFilter", segs=["segs", 0], target="x1", order=False, take_start=0, take_count=1
    )
    restore = id_of(nodes, "GPEN_RestoreFaces")
    nodes[restore]["inputs"]["segs"] = ["left", 0]
    found, count = shown(server, nodes, restore)
    assert count == 1
    before = pixels_of(picture)
    middle = before.shape[1] // 2
    assert np.abs(found - before)[:, :middle].max() > 10
    assert np.abs(found - before)[:, middle:].max() <= 1


def test_our_segs_go_through_the_impact_packs_nodes(server: Server) -> None:
    need(server, "SegsToCombinedMask", "SEGSPaste")
    nodes = restore_graph([])
    model, image = [id_of(nodes, "GPEN_LoadModel"), 0], [id_of(nodes, "LoadImage"), 0]
    nodes["faces"] = node(
        "GPEN_DetectFaces",
        gpen_model=model,
        image=image,
        face_selection="all",
        sort_by="area",
        reverse_order=False,
        take_start=0,
        take_count=1,
        detection_threshold=0.9,
        min_face_size=0,
    )
    nodes["segs"] = node(
        "GPEN_FacesToSEGS", gpen_model=model, faces=["faces", 0], image=image, **defaults(server, "GPEN_FacesToSEGS")
    )
    nodes["mask"] = node("SegsToCombinedMask", segs=["segs", 0])
    nodes["mask picture"] = node("MaskToImage", mask=["mask", 0])
    nodes["mask out"] = node("SaveImage", images=["mask picture", 0], filename_prefix="segs")
    nodes["pasted"] = node(
        "SEGSPaste",
        image=image,
        segs=["segs", 0],
        feather=5,
        alpha=255,
        ref_image_opt=[id_of(nodes, "GPEN_RestoreFaces"), 0],
    )
    nodes["pasted out"] = node("SaveImage", images=["pasted", 0], filename_prefix="pasted")
    outputs = server.run(nodes, seconds=900)
    mask = pixels_of(server.saved(outputs, "mask out")[0])[..., 0]
    (face,) = load_and_detect(server.base / "input" / "portrait.png")
    x, y = (int(v) for v in face.landmarks[2])
    assert mask[y, x] == 255
    assert mask[0, 0] == 0
    pasted, before = (
        pixels_of(path) for path in (server.saved(outputs, "pasted out")[0], server.base / "input" / "portrait.png")
    )
    assert np.abs(pasted - before)[mask == 255].max() > 10


def test_frames_of_the_video_packs_loader_are_restored_and_combined_again(server: Server) -> None:
    need(server, "VHS_LoadVideoPath", "VHS_VideoCombine")
    film = server.base / "input" / "film.mp4"
    nodes = restore_graph([], temporal_smoothing=True)
    loader, restore = id_of(nodes, "LoadImage"), id_of(nodes, "GPEN_RestoreFaces")
    for key in [key for key, other in nodes.items() if other["class_type"] in ("SaveImage", "PreviewImage")]:
        del nodes[key]
    numbers = ("force_rate", "custom_width", "custom_height", "frame_load_cap", "skip_first_frames")
    nodes[loader] = node("VHS_LoadVideoPath", video=str(film), select_every_nth=1, **dict.fromkeys(numbers, 0))
    nodes["combine"] = node(
        "VHS_VideoCombine",
        images=[restore, 0],
        frame_rate=8,
        loop_count=0,
        filename_prefix="combined",
        format="video/ffv1-mkv",
        pingpong=False,
        save_output=True,
        **{"level": "3", "coder": "1", "context": "1", "gop_size": 1, "slices": "4", "slicecrc": "1"},
        pix_fmt="bgra",
        save_metadata=False,
        trim_to_audio=False,
    )
    nodes["count"] = node("PreviewAny", source=[restore, 5])
    outputs = server.run(nodes, seconds=900)
    source = frames_of(film)
    assert int(outputs["count"]["text"][0]) == len(source)
    (written,) = (server.base / "output").glob("combined*.mkv")
    made = np.stack(frames_of(written))
    restorer = FaceRestorer(load_model(device="cpu", precision="fp32"), load_detector(device="cpu"))
    eight_bits = [np.round(frame * 255).astype(np.float32) / 255 for frame in source]
    expected = [result.picture for result in restore_frames(eight_bits, restorer, smoothing=Smoothing())]
    assert made.shape == np.stack(expected).shape
    assert np.abs(made - np.stack(expected).clip(0, 1)).mean() <= 1 / 255
