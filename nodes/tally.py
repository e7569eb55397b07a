"""What became of the faces of a run, and what a node says of it when it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..gpen_core.faces.types import Detection
from ..gpen_core.report import counted
from ..gpen_core.treatment import Treated


@dataclass
class Tally:
    """Faces of all pictures together. found: before a choice among them; left: of the restored ones, those that kept
    (nearly) all of themselves, being larger than the model's size and sound; spared: what options left as it was."""

    found: int = 0
    restored: int = 0
    left: int = 0
    spared: int = 0

    def finding(self, frames: Iterable[list[Detection]]) -> Iterator[list[Detection]]:
        """The faces of each picture as they come, counted."""
        for faces in frames:
            self.found += len(faces)
            yield faces

    def count(self, faces: Iterable[Treated]) -> None:
        """Adds the faces of one result."""
        for face in faces:
            self.restored += not face.spared
            self.spared += face.spared
            self.left += face.left

    def words(self) -> str:
        """One line for the node."""
        if not self.found:
            return "no face found"
        others = self.found - self.restored - self.spared
        parts = [counted(self.restored, "face") if self.restored else "no face restored"]
        if self.left:
            how = "keep_detail off in Restore Faces: restored"
            parts.append(f"{self.left} left as found, larger than the model and sound ({how})")
        if self.spared:
            parts.append(f"{self.spared} not to be restored, by the options")
        if others > 0:
            parts.append(f"{others} not chosen")
        return ", ".join(parts)
