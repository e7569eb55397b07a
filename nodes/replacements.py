"""Which nodes of other packs these take the place of, in graphs that are opened; see `adapter.offer_replacements`."""

from __future__ import annotations

from typing import Any


def _restores(old: str, widgets: list[str], *, visibility: str | None = None, image: str = "image") -> dict[str, Any]:
    """Restore Faces for the node `old`; widgets: its own, in order. What has no counterpart keeps our default."""
    mapped = [{"new_id": "image", "old_id": image}]
    if visibility is not None:
        mapped.append({"new_id": "visibility", "old_id": visibility})
    return {
        "new_node_id": "GPEN_Restore",
        "old_node_id": old,
        "old_widget_ids": widgets,
        "input_mapping": mapped,
        "output_mapping": [{"new_idx": 0, "old_idx": 0}],
    }


REPLACEMENTS = (
    _restores("FaceRestoreCFWithModel", ["facedetection", "codeformer_fidelity"]),
    _restores("FaceRestoreWithModel", ["facedetection"]),
    _restores(
        "GPENO Face Restoration",
        [
            *("use_global_cache", "unload", "backbone", "resolution_preset", "downscale_method"),
            *("channel_multiplier", "narrow", "alpha", "device", "aligned", "colorize"),
        ],
        visibility="alpha",
    ),
    _restores(
        "ReActorRestoreFace", ["facedetection", "model", "visibility", "codeformer_weight"], visibility="visibility"
    ),
)
