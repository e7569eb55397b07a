"""What a service allows its clients: one field each, of which `gpen serve` makes its flags."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import by_name, check, option


@by_name
@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Bounds of a service. What is beyond them gets one clear answer, and costs nothing more."""

    queue: int = option(
        32, low=1, high=4096, form="N", help="Requests taken at a time; further ones are told to come back (503)."
    )
    max_body: float = option(
        32.0, low=0.001, high=2048, form="MB", help="Larger bodies are refused (413), before they are read."
    )
    max_pixels: float = option(
        50.0, low=0.001, high=2000, form="MP", help="Larger pictures are refused (422), before they are decoded."
    )
    at_once: int = option(
        8,
        low=1,
        high=64,
        form="N",
        help="Pictures decoded and restored at a time: on a CPU side by side, as many as it has cores, elsewhere with "
        "their faces in shared batches.",
    )
    seconds: float = option(
        120.0, low=0.1, high=86400, form="S", help="A request that has no result after these is given up (504)."
    )
    upload_seconds: float = option(
        30.0, low=0.1, high=86400, form="S", help="A body that has not come after these is given up (408)."
    )

    def __post_init__(self) -> None:
        check(self)
