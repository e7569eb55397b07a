"""A stand-in for the ComfyUI modules that the pack's adapter calls, for tests without ComfyUI."""

from __future__ import annotations

import enum
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


class _Part:
    def __init__(self, io_type: str, id: str | None = None, display_name: str | None = None, **options: Any) -> None:
        self.io_type, self.id, self.display_name = io_type, id, display_name or id
        self.extra_dict = options.pop("extra_dict", None) or {}
        self.optional, self.tooltip = options.pop("optional", False), options.pop("tooltip", None)
        self.options = options

    def as_dict(self) -> dict[str, Any]:
        return {**self.options, "optional": self.optional, "tooltip": self.tooltip, **self.extra_dict}


def _wire(io_type: str) -> type:
    def part(name: str) -> type:
        def make(self: Any, id: str | None = None, **options: Any) -> None:
            _Part.__init__(self, io_type, id, **options)

        return type(name, (_Part,), {"__init__": make})

    return type(io_type, (), {"io_type": io_type, "Input": part("Input"), "Output": part("Output")})


@dataclass
class Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    hidden: list[Any] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_output_node: bool = False
    essentials_category: str | None = None


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui


class ComfyNode:
    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        schema: Schema = cls.define_schema()
        return schema


class ComfyExtension:
    async def on_load(self) -> None:
        pass


class NumberDisplay(str, enum.Enum):
    number = "number"
    slider = "slider"


class PreviewImage:
    def __init__(self, image: torch.Tensor, cls: Any = None, **options: Any) -> None:
        self.image = image


class DynamicOption:
    """One choice of a DynamicCombo and the inputs that it unfolds."""

    def __init__(self, key: str, inputs: list[Any]) -> None:
        self.key, self.inputs = key, inputs


def _dynamic_combo() -> type:
    wire = _wire("COMFY_DYNAMICCOMBO_V3")
    wire.Option = DynamicOption  # type: ignore[attr-defined]
    return wire


def _multi_type() -> type:
    def make(self: Any, id: str, types: list[Any], **options: Any) -> None:
        _Part.__init__(self, ",".join(one.io_type for one in types), id, **options)

    return type("MultiType", (), {"Input": type("Input", (_Part,), {"__init__": make})})


class FakeVideo:
    """A VIDEO that is the whole of a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def get_stream_source(self) -> str:
        return self.path

    def save_to(self, path: str, **options: Any) -> None:
        Path(path).write_bytes(Path(self.path).read_bytes())


class Interrupted(BaseException):
    """ComfyUI's InterruptProcessingException."""


class ModelPatcher:
    def __init__(self, model: torch.nn.Module, load_device: Any, offload_device: Any, size: int = 0) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device


class Engine:
    """What the fake ComfyUI was asked to do, and how it is to behave.

    interrupt_after: checks for an interrupt before one is raised; None: never.
    """

    def __init__(self, root: Path) -> None:
        self.folders: dict[str, tuple[list[str], set[str]]] = {}
        self.reset(root)

    def reset(self, root: Path) -> None:
        """Forgets everything; the models folder is the one in `root`."""
        self.root = root
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self.loads: list[tuple[list[Any], float]] = []
        self.progress: list[tuple[int, int, Any]] = []
        self.interrupt_after: int | None = None
        self.folders.clear()
        if hasattr(self, "folder_paths"):
            self.folder_paths.models_dir = str(root / "models")

    def modules(self) -> dict[str, types.ModuleType]:
        """Modules by the names under which the adapter imports them."""
        io = types.SimpleNamespace(
            Schema=Schema,
            ComfyNode=ComfyNode,
            NodeOutput=NodeOutput,
            NumberDisplay=NumberDisplay,
            Custom=_wire,
            Image=_wire("IMAGE"),
            Mask=_wire("MASK"),
            Int=_wire("INT"),
            Float=_wire("FLOAT"),
            String=_wire("STRING"),
            Boolean=_wire("BOOLEAN"),
            Combo=_wire("COMBO"),
            Video=_wire("VIDEO"),
            DynamicCombo=_dynamic_combo(),
            MultiType=_multi_type(),
            Hidden=types.SimpleNamespace(unique_id="UNIQUE_ID"),
        )
        comfy = _module("comfy")
        comfy.model_management = self._management()
        comfy.model_patcher = _module("comfy.model_patcher", ModelPatcher=ModelPatcher)
        comfy.utils = _module("comfy.utils", ProgressBar=self._progress_bar())
        api = _module("comfy_api")
        api.latest = _module(
            "comfy_api.latest",
            ComfyExtension=ComfyExtension,
            io=io,
            ui=types.SimpleNamespace(PreviewImage=PreviewImage),
            InputImpl=types.SimpleNamespace(VideoFromFile=FakeVideo),
        )
        modules = (
            comfy,
            comfy.model_management,
            comfy.model_patcher,
            comfy.utils,
            api,
            api.latest,
            self._folder_paths(),
            _module("server", PromptServer=types.SimpleNamespace(instance=None)),
        )
        return {module.__name__: module for module in modules}

    def _management(self) -> types.ModuleType:
        def check() -> None:
            if self.interrupt_after is not None:
                self.interrupt_after -= 1
                if self.interrupt_after < 0:
                    self.interrupt_after = None
                    raise Interrupted

        return _module(
            "comfy.model_management",
            get_torch_device=lambda: self.device,
            unet_offload_device=lambda: torch.device("cpu"),
            intermediate_device=lambda: torch.device("cpu"),
            intermediate_dtype=lambda: self.dtype,
            load_models_gpu=lambda models, memory_required=0, force_full_load=False: self.loads.append(
                (list(models), memory_required)
            ),
            throw_exception_if_processing_interrupted=check,
            soft_empty_cache=lambda: None,
            OOM_EXCEPTION=torch.cuda.OutOfMemoryError,
        )

    def _progress_bar(self) -> type:
        engine = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total = total

            def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
                engine.progress.append((value, total or self.total, preview))

        return ProgressBar

    def _folder_paths(self) -> types.ModuleType:
        def add(kind: str, path: str, is_default: bool = False) -> None:
            paths, _ = self.folders.setdefault(kind, ([], set()))
            if path not in paths:
                paths.append(path)

        def listed(kind: str) -> list[str]:
            paths, extensions = self.folders[kind]
            found = {
                str(file.relative_to(folder))
                for folder in map(Path, paths)
                for file in folder.rglob("*")
                if file.is_file() and (not extensions or file.suffix.lower() in extensions)
            }
            return sorted(found)

        def full_path(kind: str, name: str) -> str | None:
            candidates = (Path(folder) / name for folder in self.folders[kind][0])
            return next((str(path) for path in candidates if path.is_file()), None)

        self.folder_paths = _module(
            "folder_paths",
            models_dir=str(self.root / "models"),
            folder_names_and_paths=self.folders,
            add_model_folder_path=add,
            get_folder_paths=lambda kind: list(self.folders[kind][0]),
            get_filename_list=listed,
            get_full_path=full_path,
            get_temp_directory=lambda: str(self.root / "temp"),
        )
        return self.folder_paths


def _module(name: str, **members: Any) -> Any:
    module = types.ModuleType(name)
    module.__dict__.update(members)
    return module


def install(engine: Engine, monkeypatch: Any) -> None:
    """Puts the fake modules where imports find them, for one test."""
    for name, module in engine.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
