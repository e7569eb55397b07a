"""The shipped workflows, as `make_workflows.py` writes them down: what is said of each, and its nodes and wires."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MODELS = "https://public-vigen-video.oss-cn-shanghai.aliyuncs.com/robin/models/"
CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
SD = "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/"


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node: its kind, where it stands, and its inputs: a value, or (key of another node, slot)."""

    kind: str
    column: int
    top: int
    inputs: dict[str, Any] = field(default_factory=dict)
    title: str | None = None
    height: int | None = None
    models: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A workflow: what is said of it, and its nodes by their keys.

    shown: of a blueprint, the widgets that it has outside, (key of the node, widget).
    """

    note: str
    nodes: dict[str, Node]
    shown: tuple[tuple[str, str], ...] = ()


def example(photograph: str, *, frames: int = 1, top: int = 320) -> Node:
    """The picture that a graph begins with."""
    inputs = {"photograph": photograph, "frames": frames}
    return Node(kind="GPEN_ExamplePhotograph", column=0, top=top, inputs=inputs)


def compare(before: Any, after: Any, *, column: int, top: int = 320) -> Node:
    """Before and after with a slider between."""
    inputs = {"image_a": before, "image_b": after}
    return Node(kind="ImageCompare", column=column, top=top, inputs=inputs, height=420)


def save(images: Any, name: str, *, column: int, top: int = 800) -> Node:
    """The result as a file."""
    inputs = {"images": images, "filename_prefix": f"gpen/{name}"}
    return Node(kind="SaveImage", column=column, top=top, inputs=inputs, height=360)


def loader(model: str = "gpen-open", *, top: int = 520) -> Node:
    """Load GPEN Model, with the address of what does not ship."""
    models: tuple[dict[str, str], ...] = ()
    if model != "gpen-open":
        file = f"{model}.pth"
        models = ({"name": file, "url": MODELS + file, "directory": "facerestore_models"},)
    return Node(kind="GPEN_LoadModel", column=0, top=top, inputs={"model": model}, models=models)


OWN = "Your own picture: put **Load Image** in the place of **Example Photograph**."

GRAPHS = {
    "1 Restore a photograph": Graph(
        note=f"## Restore a photograph\n\nPress **Run**, then drag the slider of **Compare Images**.\n\n{OWN}\n\n"
        "Too strong? Lower **visibility**: nothing is computed anew.",
        nodes={
            "photo": example("sent-around"),
            "restore": Node(kind="GPEN_Restore", column=1, top=320, inputs={"image": ("photo", 0)}),
            "compare": compare(("photo", 0), ("restore", 0), column=2),
            "save": save(("restore", 0), "photograph", column=2),
        },
    ),
    "2 Choose faces in a group photograph": Graph(
        note="## Choose faces in a group photograph\n\n**Preview Faces** numbers the faces, the largest first. "
        "Write the "
        "numbers you want into **face_numbers** of **Restore Faces**: 0,2 takes two.\n\nFaces missed? Lower "
        f"**detection_threshold** (advanced) of **Detect Faces**. {OWN}",
        nodes={
            "photo": example("two-prints"),
            "model": loader(),
            "detect": Node(
                kind="GPEN_DetectFaces",
                column=1,
                top=880,
                inputs={"gpen_model": ("model", 0), "image": ("photo", 0)},
            ),
            "preview": Node(
                kind="GPEN_PreviewFaces",
                column=2,
                top=880,
                inputs={"image": ("photo", 0), "faces": ("detect", 0)},
                height=360,
            ),
            "restore": Node(
                kind="GPEN_Restore",
                column=1,
                top=320,
                inputs={"image": ("photo", 0), "faces": "by number", "face_numbers": "0,1"},
            ),
            "compare": compare(("photo", 0), ("restore", 0), column=3),
            "save": save(("restore", 0), "group", column=3),
        },
    ),
    "3 Restore step by step": Graph(
        note="## Work on the crops\n\nDetect, crop, restore, **anything**, paste. Here the anything is a "
        "sharpening; put in "
        "its place whatever takes pictures: keep number and order of the crops.",
        nodes={
            "photo": example("sent-around"),
            "model": loader(),
            "detect": Node(
                kind="GPEN_DetectFaces",
                column=1,
                top=320,
                inputs={"gpen_model": ("model", 0), "image": ("photo", 0)},
            ),
            "crop": Node(
                kind="GPEN_CropFaces",
                column=2,
                top=320,
                inputs={"gpen_model": ("model", 0), "image": ("photo", 0), "faces": ("detect", 0)},
            ),
            "restore": Node(
                kind="GPEN_RestoreCrops",
                column=3,
                top=320,
                inputs={"gpen_model": ("model", 0), "crops": ("crop", 0)},
            ),
            "sharpen": Node(
                kind="ImageSharpen",
                column=4,
                top=320,
                inputs={"image": ("restore", 0), "sharpen_radius": 1, "sigma": 1.0, "alpha": 0.5},
            ),
            "paste": Node(
                kind="GPEN_PasteFaces",
                column=5,
                top=320,
                inputs={
                    "gpen_model": ("model", 0),
                    "image": ("photo", 0),
                    "crops": ("sharpen", 0),
                    "faces": ("crop", 1),
                },
            ),
            "compare": compare(("photo", 0), ("paste", 0), column=6),
            "save": save(("paste", 0), "steps", column=6),
        },
    ),
    "4 Restore a film": Graph(
        note="## Restore a film\n\nThe example is a film of 24 frames. Your own: put **Load Video** in the "
        "place of **Create "
        "Video**.\n\nFrames go from file to file, so that films of any length fit; faces are followed and smoothed, "
        "sound stays as it is.",
        nodes={
            "photo": example("sent-around", frames=24),
            "film": Node(kind="CreateVideo", column=1, top=320, inputs={"images": ("photo", 0), "fps": 12.0}),
            "restore": Node(kind="GPEN_RestoreVideo", column=2, top=320, inputs={"video": ("film", 0)}),
            "frames": Node(kind="GetVideoComponents", column=3, top=320, inputs={"video": ("restore", 0)}),
            "compare": compare(("photo", 0), ("frames", 0), column=4),
            "save": Node(
                kind="SaveVideo",
                column=3,
                top=640,
                inputs={"video": ("restore", 0), "filename_prefix": "gpen/film", "format": "auto", "codec": "auto"},
                height=360,
            ),
        },
    ),
    "5 Colourise an old photograph": Graph(
        note="## Colour an old photograph\n\nNeeds a colourisation model. The authors' "
        "**GPEN-Colorization-1024** is fetched "
        "when first used (non-commercial). A model of your own: choose it, and set **task** (advanced) to colorization."
        "\n\nThe brightness of every pixel stays as it was.",
        nodes={
            "photo": example("kept-in-a-drawer"),
            "model": loader("GPEN-Colorization-1024"),
            "colour": Node(
                kind="GPEN_ColouriseFace",
                column=1,
                top=320,
                inputs={"gpen_model": ("model", 0), "image": ("photo", 0)},
            ),
            "compare": compare(("photo", 0), ("colour", 0), column=2),
            "save": save(("colour", 0), "coloured", column=2),
        },
    ),
    "6 Fill what is painted over": Graph(
        note="## Fill a damaged part of a face\n\nWhat is painted white is filled. In a picture of your own: "
        "**Load Image**, "
        "right-click, mask editor, and join its mask.\n\nNeeds an inpainting model. The authors' "
        "**GPEN-Inpainting-1024** is fetched when first used (non-commercial). All else stays as it was, to the bit.",
        nodes={
            "photo": example("painted-over"),
            "model": loader("GPEN-Inpainting-1024"),
            "fill": Node(
                kind="GPEN_InpaintFace",
                column=1,
                top=320,
                inputs={"gpen_model": ("model", 0), "image": ("photo", 0)},
            ),
            "compare": compare(("photo", 0), ("fill", 0), column=2),
            "save": save(("fill", 0), "filled", column=2),
        },
    ),
    "7 After making an image": Graph(
        note="## Faces of a picture that was just made\n\nAny graph that ends in a picture: put **Restore "
        "Faces** behind **VAE "
        "Decode**. Visibility below 1 keeps more of the character that the image maker gave the face.",
        nodes={
            "checkpoint": Node(
                kind="CheckpointLoaderSimple",
                column=0,
                top=320,
                inputs={"ckpt_name": CHECKPOINT},
                models=({"name": CHECKPOINT, "url": SD + CHECKPOINT, "directory": "checkpoints"},),
            ),
            "wanted": Node(
                kind="CLIPTextEncode",
                column=1,
                top=320,
                title="Prompt",
                inputs={"clip": ("checkpoint", 1), "text": "photograph of three friends at a table outdoors"},
                height=180,
            ),
            "unwanted": Node(
                kind="CLIPTextEncode",
                column=1,
                top=560,
                title="Negative prompt",
                inputs={"clip": ("checkpoint", 1), "text": "blurry"},
                height=180,
            ),
            "size": Node(
                kind="EmptyLatentImage",
                column=1,
                top=800,
                inputs={"width": 768, "height": 512, "batch_size": 1},
            ),
            "sampler": Node(
                kind="KSampler",
                column=2,
                top=320,
                inputs={
                    "model": ("checkpoint", 0),
                    "positive": ("wanted", 0),
                    "negative": ("unwanted", 0),
                    "latent_image": ("size", 0),
                    **{"seed": 7, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal"},
                    "denoise": 1.0,
                },
            ),
            "decode": Node(
                kind="VAEDecode",
                column=3,
                top=320,
                inputs={"samples": ("sampler", 0), "vae": ("checkpoint", 2)},
            ),
            "restore": Node(kind="GPEN_Restore", column=4, top=320, inputs={"image": ("decode", 0), "visibility": 0.8}),
            "compare": compare(("decode", 0), ("restore", 0), column=5),
            "save": save(("restore", 0), "made", column=5),
        },
    ),
}

BLUEPRINTS = {
    "Restore faces": Graph(
        note="Finds every face, restores it and puts it back; the model ships with the pack.",
        nodes={"restore": Node(kind="GPEN_Restore", column=0, top=320)},
        shown=(("restore", "visibility"), ("restore", "model"), ("restore", "faces")),
    ),
    "Restore and upscale": Graph(
        note="Enlarges a picture with an upscaling model and puts the restored faces into the result.",
        nodes={
            "model": loader(),
            "upscaler": Node(kind="UpscaleModelLoader", column=0, top=320),
            "restore": Node(
                kind="GPEN_RestoreFaces",
                column=1,
                top=320,
                inputs={"gpen_model": ("model", 0), "upscale_model": ("upscaler", 0)},
            ),
        },
        shown=(("upscaler", "model_name"), ("restore", "visibility"), ("model", "model")),
    ),
}
