"""How long the campaign may take, and the table that it ends with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

#: Minutes in all; each part takes its share.
MINUTES = float(os.environ.get("GPEN_CAMPAIGN_MINUTES", "10"))
#: Where mutation begins; other numbers are other files.
FIRST = int(os.environ.get("GPEN_CAMPAIGN_FIRST", "0"))


@dataclass
class Table:
    """What was tried, how often, and what came of it, row by row."""

    rows: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, what: str, tried: int, outcome: str) -> None:
        """One row."""
        self.rows.append((what, tried, outcome))

    def lines(self) -> list[str]:
        """The table as text."""
        width = max((len(what) for what, _, _ in self.rows), default=0)
        return [f"{what:<{width}}  {tried:>8}  {outcome}" for what, tried, outcome in self.rows]


TABLE = Table()


def seconds(share: float) -> float:
    """A part's share of the time, in seconds."""
    return MINUTES * 60 * share
