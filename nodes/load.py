"""Load GPEN Model."""

from __future__ import annotations

from typing import Any

from ..gpen_core.weights import zoo
from . import adapter, files, inputs
from .adapter import advanced, io, schema
from .fetching import fetch_repository
from .model import load_face_model
from .wires import GPENModel

PRECISIONS = ["auto", "fp32", "bf16", "fp16"]
TASKS = ["auto", "restoration", "colorization", "inpainting", "segmentation"]


class LoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_LoadModel",
            display_name="Load GPEN Model",
            category="GPEN",
            description="Loads a GPEN face model: the open one that ships, one of the zoo (fetched on first use), a "
            "file in models/facerestore_models, or a repository on the Hub.",
            search_aliases=["face restore model", "gpen loader", "face restoration", "facerestore", "gfpgan"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=files.restorers(),
                    default=zoo.DEFAULT_MODEL,
                    tooltip=f"{zoo.DEFAULT_MODEL} ships with the pack. Others are fetched when first used "
                    f"({files.sizes('restorer')}); GPEN-… are the authors' own, for non-commercial use. What is left "
                    "are files in models/facerestore_models.",
                ),
                io.Combo.Input(
                    "precision",
                    options=PRECISIONS,
                    default="auto",
                    tooltip="Numbers that the network computes in. auto: the fastest that changes nothing visible on "
                    "this device.",
                ),
                io.Combo.Input(
                    "detector",
                    options=files.detectors(),
                    default=files.AUTO,
                    tooltip="What finds the faces. auto: a detector in models/facedetection, else the one that ships.",
                ),
                io.Combo.Input(
                    "parser",
                    options=files.parsers(),
                    default=files.AUTO,
                    tooltip="What tells skin, eyes, hair and background apart, for masks. auto: the one in "
                    "models/facedetection if there is one; nothing is fetched for it.",
                ),
                advanced(
                    io.Combo.Input(
                        "task",
                        options=TASKS,
                        default="auto",
                        tooltip="What a file of your own was trained for, where it does not say itself: the weights "
                        "of several tasks look alike.",
                    )
                ),
                advanced(
                    io.String.Input(
                        "repository",
                        default="",
                        tooltip="A repository on the Hugging Face Hub, owner/name or owner/name/file: taken instead "
                        "of model. Empty: not used.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "fidelity",
                        default=inputs.UNSET,
                        min=inputs.UNSET,
                        max=1.0,
                        step=0.05,
                        optional=True,
                        tooltip="CodeFormer's weight: 0 is the most beautiful, 1 the most faithful. -1: its own "
                        "(0.5); other networks have none.",
                    )
                ),
                advanced(
                    io.Combo.Input(
                        "occluder",
                        options=files.occluders(),
                        default=files.AUTO,
                        optional=True,
                        tooltip="What tells what covers a face, for nodes whose occlusion is on. auto: the network "
                        "that ships. contradiction: where the restored face shows something else than the picture.",
                    )
                ),
            ],
            outputs=[GPENModel.Output("gpen_model", tooltip="The model, with its detector, parser and occluder.")],
        )

    @classmethod
    def validate_inputs(cls, model: str) -> bool | str:
        """Whether the model is there or can be fetched; the page checks the other choices against their lists."""
        return files.available(model, adapter.RESTORERS, option="model")

    @classmethod
    def fingerprint_inputs(
        cls,
        model: str,
        detector: str = files.AUTO,
        parser: str = files.AUTO,
        repository: str = "",
        occluder: str = files.AUTO,
        **other: Any,
    ) -> str:
        """Changes with the chosen files, so that one replaced, added or taken away is noticed."""
        # A repository takes the model's place; for `on_disk` its name is a name like any other.
        return files.fingerprint(repository.strip() or model, detector, parser, occluder)

    @classmethod
    def execute(
        cls,
        model: str,
        precision: str,
        detector: str,
        parser: str,
        task: str = "auto",
        repository: str = "",
        fidelity: float = inputs.UNSET,
        occluder: str = files.AUTO,
    ) -> Any:
        repository = repository.strip()
        found = fetch_repository(repository) if repository else files.locate(model, adapter.RESTORERS, option="model")
        return io.NodeOutput(
            load_face_model(
                found,
                name=repository or model,
                precision=precision,
                task=None if task == "auto" else task,
                detector=detector,
                parser=parser,
                occluder=occluder,
                fidelity=None if fidelity < 0 else fidelity,
            )
        )
