"""Every prior and every network that GPEN is compared with: one file, through Python, the nodes and the shell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nodes_under_test import Pack
from PIL import Image
from small_batches import SKIN

from gpen_core import GPEN, GPENConfig, ModelCard
from gpen_core.architecture import COMPARATORS, PRIORS
from gpen_core.cli.main import main
from gpen_core.weights import checkpoint

SIZE = 32


@pytest.mark.parametrize("name", [*PRIORS, *COMPARATORS])
def test_one_file_restores_alike_from_python_a_node_and_the_shell(name: str, pack: Pack, tmp_path: Path) -> None:
    config = GPENConfig.standard(SIZE, narrow=1 / 64, style_dim=12, prior=name)
    drawn = GPEN(config, ModelCard(name=name, template="ffhq"), generator=torch.Generator().manual_seed(0))
    file = pack.engine.root / "models" / "facerestore_models" / f"{name}.safetensors"
    file.parent.mkdir(parents=True)
    checkpoint.write(file, drawn.state_dict(), config, drawn.card)

    network = GPEN.from_pretrained(drawn.save_pretrained(tmp_path / "folder")).eval()
    levels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    levels = (levels * SKIN).astype(np.uint8)
    face = torch.from_numpy(levels).float()[None] / 255
    with torch.no_grad():
        wanted = ((network(face.permute(0, 3, 1, 2) * 2 - 1) + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1)

    model = pack.run("GPEN_LoadModel", model=file.name, precision="fp32")[0]
    restored = pack.run("GPEN_RestoreCrops", gpen_model=model, crops=face)[0]
    torch.testing.assert_close(restored, wanted, rtol=0, atol=1e-4)

    Image.fromarray(levels).save(tmp_path / "face.png")
    options = ["--aligned", "--sharpen", "0", "--precision", "fp32", "--device", "cpu", "--model", str(file)]
    assert main(["restore", str(tmp_path / "face.png"), "-o", str(tmp_path / "out"), *options]) == 0
    (written,) = (tmp_path / "out").rglob("*.png")
    with Image.open(written) as picture:
        difference = np.abs(np.array(picture).astype(float) - wanted[0].numpy() * 255)
    assert difference.max() <= 0.51
