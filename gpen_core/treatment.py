"""What became of a face: restored, left as found or spared; said once, for results and for reports of them."""

from __future__ import annotations

#: A face that keeps so much of itself counts as left alone.
LEFT = 0.95


class Treated:
    """A face with the strength, 0..1, at which it went back, and how much of itself it kept; None: it was not asked."""

    strength: float
    kept: float | None

    @property
    def left(self) -> bool:
        """Whether (nearly) all of it is as it was found: it is larger than the model's size, and sound at that."""
        return (self.kept or 0.0) >= LEFT and not self.spared

    @property
    def spared(self) -> bool:
        """Whether it was not to be restored: it is good already, another person's, or no longer was the same one's."""
        return self.strength == 0
