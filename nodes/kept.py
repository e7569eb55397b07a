"""Models that no loader hands over, kept for as long as ComfyUI keeps the nodes that ask for them."""

from __future__ import annotations

import weakref
from functools import lru_cache

from . import adapter, files
from .model import FaceModel, load_face_model


class ModelKeeper:
    """A node that may ask for `model_by_name`.

    ComfyUI makes an object of each node of a graph, and drops it with the graph or when it is asked to free memory
    (`/free`). With the last of these objects goes the model.
    """

    def __init__(self) -> None:
        super().__init__()
        _nodes.add(id(self))
        weakref.finalize(self, _dropped, id(self))


def model_by_name(name: str) -> FaceModel:
    """The model of this name with the usual detector and parser, read once for as long as their files stay the same."""
    return _read(name, files.fingerprint(name), str(adapter.compute_device()))


#: Of the objects that there are.
_nodes: set[int] = set()


def _dropped(node: int) -> None:
    _nodes.discard(node)
    if not _nodes:
        _read.cache_clear()


@lru_cache(maxsize=1)
def _read(name: str, stamp: str, device: str) -> FaceModel:
    source = files.locate(name, adapter.RESTORERS, option="model")
    return load_face_model(source, name=name, precision="auto", task=None, detector=files.AUTO, parser=files.AUTO)
