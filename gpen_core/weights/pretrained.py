"""The network with the Hub's three verbs."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import torch

from ..architecture import GPEN as Network
from ..config import Task
from . import checkpoint, publish
from .locate import Located, Source, locate, read_checkpoint


class GPEN(Network):
    """A GPEN network (see `gpen_core.architecture.GPEN`) that comes from files and repositories, and goes to them."""

    @classmethod
    def from_pretrained(
        cls, source: Source, *, revision: str | None = None, task: Task | None = None, trust_pickle: bool = False
    ) -> GPEN:
        """The network of a folder, file, zoo name or Hub repository, on the CPU in float32, in evaluation mode.

        Raises WeightsError, HubError. For inference `load_model` gives a faster form.
        """
        return cls.from_file(locate(source, kind="restorer", revision=revision), task=task, trust_pickle=trust_pickle)

    @classmethod
    def from_file(cls, located: Located, *, task: Task | None = None, trust_pickle: bool = False) -> GPEN:
        """The network of a located file. It is built without memory of its own, and takes the file's tensors."""
        state_dict, config, card = read_checkpoint(located, task=task, trust_pickle=trust_pickle)
        with torch.device("meta"):
            model = cls(config, card)
        model.load_state_dict(state_dict, strict=True, assign=True)
        return model.eval()

    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """The folder, holding model.safetensors, config.json and a model card as README.md. Raises WeightsError."""
        return publish.save_pretrained(self._checkpoint(), Path(folder))

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool = False,
        revision: str | None = None,
        message: str = "Upload GPEN weights",
        token: str | None = None,
    ) -> str:
        """The address of the commit, after the files of `save_pretrained` went to `repo` ("owner/name").

        Raises HubError, also for weights whose redistribution is not settled.
        """
        return publish.push_to_hub(
            self._checkpoint(), repo, private=private, revision=revision, message=message, token=token
        )

    def _checkpoint(self) -> checkpoint.Checkpoint:
        return checkpoint.Checkpoint(dict(self.state_dict()), self.config, self.card)
