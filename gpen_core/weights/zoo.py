"""Every file this package knows by name, as data: what it is, where it can be had, under which licence."""

from __future__ import annotations

from collections.abc import Iterator

from ..config import GPENConfig, ModelCard, Template
from ..errors import WeightsError
from ..fields import nearest
from .entry import (
    AUTHORS,
    GPEN_ORIGIN,
    HIGH_RESOLUTION,
    RETALKING,
    UNSETTLED,
    HubPlace,
    Kind,
    WebPlace,
    ZooEntry,
    facexlib,
    official,
)

DEFAULT_MODEL = "gpen-open"
OPEN_DETECTOR = "gpen-open-detector"
OPEN_OCCLUDER = "gpen-open-occluder"

# Of others: name, file, owner and repository, release, licence, bytes (None: not published), hash.
_OTHERS: tuple[tuple[str, str, str, str, str, int | None, str], ...] = (
    (
        "GFPGAN-1.3",
        "GFPGANv1.3.pth",
        "TencentARC/GFPGAN",
        "v1.3.0",
        "Apache-2.0",
        348_632_874,
        "c953a88f2727c85c3d9ae72e2bd4846bbaf59fe6972ad94130e23e7017524a70",
    ),
    (
        "GFPGAN-1.4",
        "GFPGANv1.4.pth",
        "TencentARC/GFPGAN",
        "v1.3.0",
        "Apache-2.0",
        348_632_874,
        "e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
    ),
    (
        "RestoreFormer",
        "RestoreFormer.pth",
        "TencentARC/GFPGAN",
        "v1.3.4",
        "Apache-2.0",
        290_785_322,
        "07404d446d62ca3d5ed38b1de09a947a1e77d46dbccec961a74d713a8f24ace0",
    ),
    (
        "RestoreFormer++",
        "RestoreFormer++.ckpt",
        "wzhouxiff/RestoreFormerPlusPlus",
        "v1.0.0",
        "Apache-2.0",
        None,
        "613fe52805f86bf8c2bffff08ae9f7a0b99f408be1bf221767af6183038be3a2",
    ),
    (
        "CodeFormer",
        "codeformer.pth",
        "sczhou/CodeFormer",
        "v0.1.0",
        "S-Lab 1.0 (non-commercial)",
        376_637_898,
        "1009e537e0c2a07d4cabce6355f53cb66767cd4b4297ec7a4a64ca4b8a5684b7",
    ),
)
_BY_AUTHORS = GPENConfig.standard
# How those programs straighten faces for them, and what they check.
_ONNX: tuple[tuple[int, Template, int, str], ...] = (
    (256, "arcface", 75_715_262, "aa5bd3ab238640a378c59e4a560f7a7150627944cf2129e6311ae4720e833271"),
    (512, "ffhq", 284_244_491, "bf80acb8e91ba8852e3f012505be2c3b6cd6b3eed5ec605e3db87863c4e74d4e"),
)


def _open(name: str, file: str, summary: str, *, larger: str | None = None, aliases: tuple[str, ...] = ()) -> ZooEntry:
    """A restorer that ships."""
    return ZooEntry(
        name=name,
        kind="restorer",
        summary=summary,
        file=file,
        licence="Apache-2.0",
        origin="this project",
        bundled=file,
        larger=larger,
        aliases=aliases,
    )


MODELS: tuple[ZooEntry, ...] = (
    _open(
        DEFAULT_MODEL,
        "gpen-open-256.safetensors",
        "the open models that ship, chosen by the size of each face: trained here from scratch",
        larger="gpen-open-512",
        aliases=("open", "default"),
    ),
    _open("gpen-open-256", "gpen-open-256.safetensors", "the first of the two: fast, for faces below 200 px"),
    _open("gpen-open-512", "gpen-open-512.safetensors", "the second of the two: for larger faces"),
    official(
        "GPEN-BFR-256",
        "restoration",
        _BY_AUTHORS(256, channel_multiplier=1, narrow=0.5),
        18_879_010,
        "restores faces, small and fast",
    ),
    official(
        "GPEN-BFR-512",
        "restoration",
        _BY_AUTHORS(512),
        71_005_223,
        "restores faces: the usual choice",
        HubPlace(repo="akhaliq/GPEN-BFR-512", path="GPEN-BFR-512.pth"),
        HubPlace(repo="vinthony/videoretalking", path="GPEN-BFR-512.pth", second_hand=True),
        WebPlace(url=f"{RETALKING}GPEN-BFR-512.pth", second_hand=True),
        WebPlace(url=f"{AUTHORS}GPEN-BFR-512.pth"),
        size=284_085_738,
        sha256="f1002c41add95b0decad69604d80455576f7187dd99ca16bd611bcfd44c10b51",
    ),
    official(
        "GPEN-BFR-1024",
        "restoration",
        _BY_AUTHORS(1024),
        71_210_540,
        "restores large faces",
        WebPlace(url=f"{HIGH_RESOLUTION}pytorch_model.pt"),
    ),
    official(
        "GPEN-BFR-2048",
        "restoration",
        _BY_AUTHORS(2048),
        71_294_769,
        "restores selfies",
        WebPlace(url=f"{HIGH_RESOLUTION}pytorch_model-2048.pt"),
    ),
    *(
        ZooEntry(
            name=f"GPEN-BFR-{size}-onnx",
            kind="restorer",
            summary="the same as other programs pass it around: ONNX, run by ONNX Runtime",
            file=f"GPEN-BFR-{size}.onnx",
            licence=UNSETTLED,
            origin=GPEN_ORIGIN,
            places=(HubPlace(repo="hacksider/deep-live-cam", path=f"GPEN-BFR-{size}.onnx", second_hand=True),),
            size=length,
            sha256=sha256,
            card=ModelCard(
                name=f"GPEN-BFR-{size}", template=template, border="reflect", licence=UNSETTLED, origin=GPEN_ORIGIN
            ),
        )
        for size, template, length, sha256 in _ONNX
    ),
    official("GPEN-Colorization-1024", "colorization", _BY_AUTHORS(1024), 71_210_540, "colours grey faces"),
    official("GPEN-Inpainting-1024", "inpainting", _BY_AUTHORS(1024), 71_210_540, "fills white strokes in faces"),
    official(
        "GPEN-Seg2face-512", "segmentation", _BY_AUTHORS(512), 71_005_223, "makes a face from a map of its regions"
    ),
    *(
        ZooEntry(
            name=name,
            kind="restorer",
            summary="another face restorer, run by spandrel's architecture",
            file=file,
            licence=licence,
            origin=f"https://github.com/{owner}",
            places=(WebPlace(url=f"https://github.com/{owner}/releases/download/{release}/{file}"),),
            size=length,
            sha256=sha256,
            card=ModelCard(
                name=name, template="ffhq", border="reflect", licence=licence, origin=f"https://github.com/{owner}"
            ),
            aliases=() if file.lower().startswith(f"{name.lower()}.") else (file.rsplit(".", 1)[0],),
        )
        for name, file, owner, release, licence, length, sha256 in _OTHERS
    ),
    *(
        ZooEntry(
            name=f"GPEN-BFR-{size}-D",
            kind="discriminator",
            summary=f"the discriminator of GPEN-BFR-{size}, to train on with; it restores nothing",
            file=f"GPEN-BFR-{size}-D.pth",
            licence=UNSETTLED,
            origin=GPEN_ORIGIN,
            places=(WebPlace(url=f"{AUTHORS}GPEN-BFR-{size}-D.pth"),),
        )
        for size in (256, 512)
    ),
    ZooEntry(
        name=OPEN_DETECTOR,
        kind="detector",
        summary="the open face detector that ships (RetinaFace, MobileNet 0.25)",
        file="gpen-open-detector.safetensors",
        licence="Apache-2.0",
        origin="this project",
        bundled="gpen-open-detector.safetensors",
        backbone="mobile0.25",
    ),
    ZooEntry(
        name=OPEN_OCCLUDER,
        kind="occluder",
        summary="tells what is in front of a face: the open one that ships",
        file="gpen-open-occluder.safetensors",
        licence="Apache-2.0",
        origin="this project",
        bundled="gpen-open-occluder.safetensors",
    ),
    facexlib(
        "retinaface-resnet50",
        "detector",
        "finds faces and five landmarks: the reference's detector",
        "detection_Resnet50_Final.pth",
        "v0.1.0",
        HubPlace(repo="akhaliq/RetinaFace-R50", path="RetinaFace-R50.pth"),
        HubPlace(repo="salmonrk/facedetection", path="detection_Resnet50_Final.pth"),
        WebPlace(url=f"{AUTHORS}RetinaFace-R50.pth"),
        size=109_497_761,
        sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
        aliases=("RetinaFace-R50", "detection_Resnet50_Final", "resnet50"),
        backbone="resnet50",
    ),
    facexlib(
        "retinaface-mobilenet",
        "detector",
        "finds faces and five landmarks: small and fast",
        "detection_mobilenet0.25_Final.pth",
        "v0.1.0",
        HubPlace(repo="fofr/comfyui", path="facedetection/detection_mobilenet0.25_Final.pth", second_hand=True),
        size=1_789_735,
        sha256="2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
        aliases=("detection_mobilenet0.25_Final", "mobilenet"),
        backbone="mobile0.25",
    ),
    facexlib(
        "parsenet",
        "parser",
        "labels the regions of a face (19 classes): the reference's parser",
        "parsing_parsenet.pth",
        "v0.2.2",
        HubPlace(repo="fofr/comfyui", path="facedetection/parsing_parsenet.pth", second_hand=True),
        WebPlace(url="https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/parsing_parsenet.pth"),
        WebPlace(url=f"{RETALKING}ParseNet-latest.pth", second_hand=True),
        WebPlace(url=f"{AUTHORS}ParseNet-latest.pth"),
        size=85_331_193,
        sha256="3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
        aliases=("ParseNet-latest", "parsing_parsenet"),
    ),
    facexlib(
        "bisenet",
        "parser",
        "labels the regions of a face (19 classes): small",
        "parsing_bisenet.pth",
        "v0.2.0",
        HubPlace(repo="fofr/comfyui", path="facedetection/parsing_bisenet.pth", second_hand=True),
        size=53_289_463,
        sha256="468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
        aliases=("parsing_bisenet",),
    ),
    ZooEntry(
        name="arcface-ir-se50",
        kind="recognition",
        summary="compares identities: the reference's identity loss",
        file="model_ir_se50.pth",
        licence="MIT (second-hand)",
        origin="https://github.com/TreB1eN/InsightFace_Pytorch",
        places=(WebPlace(url=f"{AUTHORS}model_ir_se50.pth"),),
        size=175_367_323,
        sha256="a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
        aliases=("model_ir_se50", "arcface"),
    ),
    *(
        ZooEntry(
            name=f"realesrnet-x{scale}",
            kind="upscaler",
            summary=f"enlarges the background {scale}× (RRDBNet): the reference's",
            file=f"realesrnet_x{scale}.pth",
            licence=UNSETTLED,
            origin=GPEN_ORIGIN,
            places=(WebPlace(url=f"{AUTHORS}realesrnet_x{scale}.pth"),),
            size=77_228_423 if scale == 2 else None,
            sha256="a8bc646e373d3aa593842d071f2bd876d3db2cc969f8d3efa6cf961cc421c2d1" if scale == 2 else None,
            aliases=(f"realesrnet_x{scale}",),
        )
        for scale in (1, 2, 4)
    ),
)


def names(kind: Kind | None = None) -> Iterator[str]:
    """The names in the zoo, of one kind or of all."""
    return (entry.name for entry in MODELS if kind is None or entry.kind == kind)


def lookup(name: str) -> ZooEntry | None:
    """The entry with this name, alias or file name, in any case; None where there is none."""
    wanted = name.lower()
    for entry in MODELS:
        if wanted in {entry.name.lower(), entry.file.lower(), *(alias.lower() for alias in entry.aliases)}:
            return entry
    return None


def find(name: str) -> ZooEntry:
    """The entry with this name or alias. Raises WeightsError that suggests the nearest name."""
    entry = lookup(name)
    if entry is not None:
        return entry
    spellings = {s.lower(): e.name for e in MODELS for s in (e.name, *e.aliases)}
    near = nearest(name.lower(), spellings)
    hint = f"did you mean {spellings[near]}?" if near else "`gpen models` lists the names"
    raise WeightsError(f"there is no file and no model named {name!r}; {hint}")


def with_hash(sha256: str) -> ZooEntry | None:
    """The entry whose file has this content; None where it is not in the zoo."""
    return next((entry for entry in MODELS if entry.sha256 == sha256), None)


def restorers_like(config: GPENConfig) -> list[ZooEntry]:
    """The official restorers of this configuration: the shapes alone do not tell them apart."""
    return [entry for entry in MODELS if entry.kind == "restorer" and entry.config == config]
