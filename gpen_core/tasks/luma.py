"""The input's luma under a result's colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..faces.colour import LUMA
from ..images.picture import FULL_SCALE


def keep_luma(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 3) RGB of `before`'s kind of number: the BT.601 luma of `before` under the chroma of `after`.

    Chroma is scaled towards grey, pixel by pixel, until RGB lies in gamut; luma differs from `before`'s by rounding
    only. Raises InputError for arrays of different shape or kind.
    """
    if before.shape != after.shape or before.dtype != after.dtype or before.shape[-1:] != (3,):
        raise InputError(
            f"luma of {before.dtype} {before.shape} cannot be given to colours of {after.dtype} {after.shape}; "
            "expected two RGB arrays alike"
        )
    full = FULL_SCALE[before.dtype.name]
    weights = np.array(LUMA, dtype=np.float64)
    luma = (before.astype(np.float64) @ weights)[..., None]
    colours = after.astype(np.float64)
    chroma = colours - (colours @ weights)[..., None]
    # The largest share of the chroma that each channel has room for.
    room = np.where(chroma > 0, full - luma, luma)
    share = np.min(room / np.maximum(np.abs(chroma), 1e-9), axis=-1, keepdims=True)
    result = luma + np.clip(share, 0.0, 1.0) * chroma
    if before.dtype.kind == "u":
        result = np.rint(result)
    kept: NDArray[Any] = np.clip(result, 0, full).astype(before.dtype)
    return kept
