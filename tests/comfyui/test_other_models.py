"""Models of other kinds in the nodes: an ONNX file, another architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_stand_ins import photograph
from nodes_under_test import Pack

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def inverting(path: Path, size: int) -> None:
    """An ONNX restorer that inverts colours, any batch."""
    helper = onnx.helper
    shape = ["batch", 3, size, size]
    takes, gives = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("input", "output"))
    graph = helper.make_graph([helper.make_node("Neg", ["input"], ["output"])], "g", [takes], [gives])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.SerializeToString())


@pytest.mark.filterwarnings("ignore:.*does not say how faces are posed")
def test_an_onnx_file_of_another_pack_is_found_loaded_and_run(pack: Pack) -> None:
    inverting(pack.engine.root / "models" / "facerestore_models" / "inverting.onnx", 64)
    (model,) = pack.run("GPEN_LoadModel", model="inverting.onnx", precision="auto", detector="auto", parser="none")
    assert model.network.form == "onnx CPU"
    assert (model.config.in_size, model.card.template) == (64, "arcface")
    crops = photograph()[:, :64, :64].contiguous()
    restored = pack.run("GPEN_RestoreCrops", gpen_model=model, crops=crops)[0]
    torch.testing.assert_close(restored, 1 - crops, rtol=0, atol=1e-5)
