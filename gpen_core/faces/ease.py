"""From one rule to another without a step."""

from __future__ import annotations


def rise(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, smoothly between."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)
