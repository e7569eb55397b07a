"""The network with the Hub's verbs: model.safetensors, config.json and a model card, in a folder or a repository."""

from __future__ import annotations

import json
import tempfile
from os import PathLike
from pathlib import Path

from ..architecture import Network
from ..config import GPENConfig, ModelCard, Task
from ..errors import HubError, WeightsError
from ..files import replacing
from . import checkpoint
from .entry import UNSETTLED
from .hub import CONFIG_NAME, README_NAME, WEIGHTS_NAME, Located, Source, explain, locate, transport_errors

# Licences that the Hub knows by an identifier; any other is called "other" there and named.
_HUB_LICENCES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "bsd-3-clause"}
_TASKS = {
    "restoration": "restores a degraded photograph of a face",
    "colorization": "colours a grey photograph of a face",
    "inpainting": "fills the parts of a face that are painted white",
    "segmentation": "makes a face from a map of its regions",
}


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

    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """The folder, holding model.safetensors, config.json and a model card as README.md. Raises WeightsError."""
        folder = Path(folder)
        sha256 = checkpoint.write(folder / WEIGHTS_NAME, self.state_dict(), self.config, self.card)
        values = {"model_type": "gpen", "config": self.config.to_dict(), "card": self.card.to_dict()}
        try:
            with replacing(folder / CONFIG_NAME) as temporary:
                temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            with replacing(folder / README_NAME) as temporary:
                temporary.write_text(model_card(self.config, self.card, sha256=sha256), encoding="utf-8")
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
        from huggingface_hub import HfApi

        if self.card.licence == UNSETTLED:
            raise HubError(
                f"{self.card.name} is licensed {UNSETTLED!r}: its redistribution is not settled, so it is not "
                "published; link to its origin instead"
            )
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            try:
                api = HfApi(token=token, library_name="gpen")
                api.create_repo(repo, private=private, exist_ok=True)
                commit = api.upload_folder(repo_id=repo, folder_path=folder, revision=revision, commit_message=message)
            except transport_errors() as error:
                raise HubError(explain(error, repo)) from error
        return str(commit.commit_url)


def model_card(config: GPENConfig, card: ModelCard, *, sha256: str | None = None) -> str:
    """The README.md of a repository on the Hub: front matter, use, what the model expects, its limits."""
    known = card.licence.lower() in _HUB_LICENCES
    front = [
        "---",
        "library_name: gpen",
        "pipeline_tag: image-to-image",
        f"license: {card.licence.lower() if known else 'other'}",
        *([] if known else [f"license_name: {json.dumps(card.licence, ensure_ascii=False)}"]),
        "tags:",
        *(f"  - {tag}" for tag in ("gpen", "face-restoration", "gan-prior", card.task)),
        "---",
    ]
    low, high = card.value_range
    rows = {
        "task": card.task,
        "input": f"{config.in_size} × {config.in_size} RGB in [{low:g}, {high:g}]",
        "output": f"{config.out_size} × {config.out_size} RGB",
        "face template": f"{card.template}, border {card.border}",
        "prior": f"{config.prior}, channels {', '.join(f'{c} at {r}' for r, c in config.channels.items())}",
        "licence": card.licence,
        "origin": card.origin,
        **({"sha256 of the tensors": f"`{sha256}`"} if sha256 else {}),
    }
    details = {key: value for key, value in card.details.items() if key not in ("card_from", "sha256")}
    shown = json.dumps(details, indent=2, ensure_ascii=False)
    lines = [
        *front,
        "",
        f"# {card.name}",
        "",
        f"A GPEN network (GAN prior embedded in a U-shaped network) that {_TASKS[card.task]}.",
        "",
        "```python",
        "from gpen_core import FaceRestorer, load_model",
        "",
        'model = load_model("OWNER/REPOSITORY")  # this repository',
        'FaceRestorer(model).restore("photograph.jpg").save("restored.png")',
        "```",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
        *(["## Details", "", "```json", shown, "```", ""] if details else []),
        "## Limits",
        "",
        "What it adds is plausible, not evidence: a restored face must not be used to identify anybody.",
        "",
    ]
    return "\n".join(lines)
