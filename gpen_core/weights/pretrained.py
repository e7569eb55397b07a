"""The network with the Hub's verbs: model.safetensors, config.json and a model card, in a folder or a repository."""

from __future__ import annotations

import json
import tempfile
from os import PathLike
from pathlib import Path

from ..architecture import Network
from ..config import Task
from ..errors import HubError, WeightsError
from ..files import replacing
from . import checkpoint
from .entry import UNSETTLED
from .hub import CONFIG_NAME, README_NAME, WEIGHTS_NAME, explain, transport_errors
from .hub_card import model_card
from .location import Located, Source, locate


class GPEN(Network):
    """A GPEN network (see `architecture.Network`) that comes from files and repositories, and goes to them."""

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
        return checkpoint.load(located, cls, task=task, trust_pickle=trust_pickle)

    def save_pretrained(self, folder: str | PathLike[str], *, repo: str = "OWNER/REPOSITORY") -> Path:
        """The folder, holding model.safetensors, config.json and a model card as README.md.

        repo: where it is going to be, for the card's example. Raises WeightsError.
        """
        folder = Path(folder)
        sha256 = checkpoint.write(folder / WEIGHTS_NAME, self.state_dict(), self.config, self.card)
        values = {"model_type": "gpen", "config": self.config.to_dict(), "card": self.card.to_dict()}
        try:
            with replacing(folder / CONFIG_NAME) as temporary:
                temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            with replacing(folder / README_NAME) as temporary:
                temporary.write_text(model_card(self.config, self.card, sha256=sha256, repo=repo), encoding="utf-8")
        except OSError as error:
            raise WeightsError(
                f"cannot write to {folder}: {error}; free some space or choose another folder"
            ) from error
        return folder

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

        The repository is made if it is not there. revision: an existing branch; None: main.
        token: None takes HF_TOKEN or the one of `hf auth login`.
        Raises HubError, also for weights whose redistribution is not settled.
        """
        from huggingface_hub import HfApi, constants

        if self.card.licence == UNSETTLED:
            raise HubError(
                f"{self.card.name} is licensed {UNSETTLED!r}: its redistribution is not settled, so it is not "
                "published; link to its origin instead"
            )
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, repo=repo)
            try:
                api = HfApi(token=token, library_name="gpen")
                api.create_repo(repo, private=private, exist_ok=True)
                commit = api.upload_folder(repo_id=repo, folder_path=folder, revision=revision, commit_message=message)
            except transport_errors() as error:
                if getattr(error, "response", None) is None and not isinstance(error, ValueError):
                    raise HubError(
                        f"{repo} cannot be published ({explain(error, constants.ENDPOINT)}); check the network, "
                        "or write the files into a folder (--folder) and publish them later"
                    ) from error
                raise HubError(explain(error, repo)) from error
        return str(commit.commit_url)
