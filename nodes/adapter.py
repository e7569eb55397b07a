"""Every call into ComfyUI, for cores from 0.3.48 on. No other module of the pack imports any of its modules."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

OLDEST = "0.3.48"

try:
    from comfy_api.latest import ComfyExtension, io, ui
except ImportError as error:
    raise ImportError(
        f"the GPEN nodes need ComfyUI {OLDEST} or newer (its V3 node interface is missing: {error}); update ComfyUI"
    ) from error

__all__ = ["OLDEST", "ComfyExtension", "Progress", "io", "ui"]

log = logging.getLogger("gpen")

RESTORERS = "facerestore_models"
DETECTION = "facedetection"
WEIGHT_FILES = (".safetensors", ".sft", ".pth", ".pt", ".ckpt", ".bin", ".onnx")


def schema(**values: Any) -> Any:
    """An `io.Schema` of those fields that this core has.

    An output may be called like an input: the first cores want other ids for them, so it keeps the name only.
    """
    known = {field.name for field in fields(io.Schema)}
    taken = {part.id for part in values["inputs"]}
    for part in values["outputs"]:
        if part.id in taken:
            part.id = f"{part.id}_out"
    return io.Schema(**{name: value for name, value in values.items() if name in known})


def advanced(widget: Any) -> Any:
    """The same input, folded away until the node's advanced inputs are shown."""
    widget.extra_dict["advanced"] = True
    return widget


# Folders -------------------------------------------------------------------------------------------------------------


def _folders(kind: str) -> list[Path]:
    """Where files of this kind lie, the user's own folders first.

    Asked anew each time: other packs assign the whole entry when they are imported, before or after this one.
    """
    import folder_paths

    folder_paths.add_model_folder_path(kind, str(Path(folder_paths.models_dir) / kind))
    extensions = folder_paths.folder_names_and_paths[kind][1]
    if isinstance(extensions, set) and not extensions:
        extensions.update(WEIGHT_FILES)
    return [Path(folder) for folder in folder_paths.get_folder_paths(kind)]


def model_files(kind: str) -> list[str]:
    """Names of the weight files in the folders of this kind, relative to them; a folder need not exist."""
    import folder_paths

    _folders(kind)
    names: list[str] = folder_paths.get_filename_list(kind)
    return [name for name in names if name.lower().endswith(WEIGHT_FILES)]


def find_file(kind: str, name: str) -> Path | None:
    """The file of this name in the folders of this kind; None where there is none."""
    import folder_paths

    _folders(kind)
    found = folder_paths.get_full_path(kind, name)
    return None if found is None else Path(found)


def download_folder(kind: str) -> Path:
    """Where a fetched file of this kind belongs: the first of its folders. Not made here."""
    return _folders(kind)[0]


def offer_architecture() -> None:
    """Lets the core's *Load Upscale Model* read GPEN files, by spandrel's registry; without spandrel, nothing."""
    with contextlib.suppress(ImportError):
        from ..gpen_core.formats.spandrel_architecture import install

        install()


# Devices and models --------------------------------------------------------------------------------------------------


def compute_device() -> torch.device:
    """The device that ComfyUI computes on."""
    import comfy.model_management as management

    device: torch.device = management.get_torch_device()
    return device


def result_device() -> torch.device:
    """The device on which pictures go from node to node."""
    import comfy.model_management as management

    device: torch.device = management.intermediate_device()
    return device


def result_dtype() -> torch.dtype:
    """The dtype in which pictures go from node to node: float32 on cores that do not say."""
    import comfy.model_management as management

    ask = getattr(management, "intermediate_dtype", None)
    dtype: torch.dtype = torch.float32 if ask is None else ask()
    return dtype


class Carried(nn.Module):
    """A network as the patcher moves it; the patcher writes attributes of its own here, not into the network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


def patch(network: nn.Module) -> Any:
    """A model patcher around `network`, which ComfyUI from now on moves between its devices."""
    import comfy.model_management as management
    import comfy.model_patcher as patchers

    kind = getattr(patchers, "CoreModelPatcher", patchers.ModelPatcher)
    tensors = (*network.parameters(), *network.buffers())
    return kind(
        Carried(network),
        load_device=management.get_torch_device(),
        offload_device=management.unet_offload_device(),
        # Said here, because ComfyUI counts a state dict only, and folded weights are buffers outside it.
        size=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
    )


def load(patchers: Iterable[Any], memory_required: float) -> None:
    """Puts these models on the compute device together, with room for `memory_required` bytes of work."""
    import comfy.model_management as management

    management.load_models_gpu(list(patchers), memory_required=memory_required, force_full_load=True)


@contextmanager
def building() -> Iterator[None]:
    """Inside, modules are made of ordinary tensors although nodes run in inference mode."""
    with torch.inference_mode(False):
        yield


def is_out_of_memory(error: Exception) -> bool:
    """Whether this error is the device's memory running out, in any of its spellings."""
    import comfy.model_management as management

    ask = getattr(management, "is_oom", None)
    return bool(ask(error)) if ask is not None else isinstance(error, management.OOM_EXCEPTION)


def release_memory() -> None:
    """Gives cached device memory back."""
    import comfy.model_management as management

    management.soft_empty_cache()


def trim_heap() -> None:
    """Gives the process's free memory back to the system, where the C library is glibc.

    Pictures of a batch lie in its heap between those of other nodes; the holes would else add up from run to run.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


# Films and words -----------------------------------------------------------------------------------------------------


def temporary_folder() -> Path:
    """ComfyUI's folder for files that go with the server; it is there."""
    import folder_paths

    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def video_file(video: Any, folder: Path) -> Path:
    """The file of a VIDEO: its own where it is the whole of one, else written into `folder`."""
    source = video.get_stream_source() if hasattr(video, "get_stream_source") else None
    trimmed = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    if isinstance(source, str) and not any(trimmed):
        return Path(source)
    path = folder / "given.mp4"
    video.save_to(str(path))
    return path


def video_from(path: Path) -> Any:
    """A VIDEO of this file."""
    try:
        from comfy_api.latest import InputImpl
    except ImportError:
        from comfy_api.input_impl import VideoFromFile

        return VideoFromFile(str(path))
    return InputImpl.VideoFromFile(str(path))


def say(node: Any, text: str) -> None:
    """Shows `text` on the running node, on cores that can; node: its class."""
    from server import PromptServer

    number = getattr(getattr(node, "hidden", None), "unique_id", None)
    send = getattr(getattr(PromptServer, "instance", None), "send_progress_text", None)
    if number is not None and send is not None:
        send(text, number)


async def offer_replacements(replacements: Iterable[Mapping[str, Any]]) -> None:
    """Tells cores that can replace nodes in opened graphs what these replace; each as `io.NodeReplace` takes it.

    Where ComfyUI runs without its server, nobody opens graphs.
    """
    replace = getattr(io, "NodeReplace", None)
    if replace is None:
        return
    from comfy_api.latest import ComfyAPI
    from server import PromptServer

    if not hasattr(PromptServer, "instance"):
        return

    register = getattr(getattr(ComfyAPI(), "node_replacement", None), "register", None)
    if register is not None:
        for values in replacements:
            await register(replace(**values))


# Progress and cancel -------------------------------------------------------------------------------------------------


def stop_if_cancelled() -> None:
    """Raises ComfyUI's own interrupt (a BaseException) when the user pressed cancel."""
    import comfy.model_management as management

    management.throw_exception_if_processing_interrupted()


class Progress:
    """The running node's progress bar; every step is also a place to cancel at."""

    def __init__(self, total: int) -> None:
        import comfy.utils

        self._total = max(total, 1)
        self._done = 0
        self._bar = comfy.utils.ProgressBar(self._total)
        self._previewed = 0.0

    def step(self, count: int = 1, picture: Tensor | None = None) -> None:
        """`count` more units are done. picture: (H, W, 3) in [0, 1], shown on the node, twice a second at most."""
        stop_if_cancelled()
        self._done = min(self._done + count, self._total)
        preview = None
        if picture is not None and time.monotonic() - self._previewed >= 0.5:
            preview, self._previewed = _preview(picture), time.monotonic()
        self._bar.update_absolute(self._done, self._total, preview)

    def share(self, done: int, found: int) -> None:
        """`done` of the `found` faces of the pictures so far are done: the bar moves within a picture, too."""
        stop_if_cancelled()
        self._bar.update_absolute(min(self._done + done / max(found, 1), self._total), self._total, None)


def _preview(picture: Tensor, longest: int = 384) -> tuple[str, Any, int]:
    from PIL import Image

    # Every n-th pixel costs next to nothing on frames of any size, and a preview needs no more.
    step = max(1, -(-max(picture.shape[:2]) // longest))
    pixels = (picture[::step, ::step].float().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return ("JPEG", Image.fromarray(pixels.numpy()), longest)
