"""A film's tracks as a picture: who is seen when, what was missed, and how much each face flickers."""

from __future__ import annotations

from .report import FilmReport, TrackReport

_WIDTH, _LEFT, _ROW, _TOP = 960, 200, 44, 34
_INK, _BAR, _MISSED, _LINE, _CUT = "#333", "#c9d6ea", "#dc267f", "#1f4e99", "#fe6100"


def track_plot(report: FilmReport) -> str:
    """An SVG picture: a row for each track, a bar over its frames with the course of its flicker, cuts across."""
    frames = max(1, report.frames)
    wide = _WIDTH - _LEFT - 20
    highest = max((value for track in report.tracks for value in track.course if value is not None), default=1.0) or 1.0
    rows = [_row(track, _TOP + k * _ROW, wide / frames, highest) for k, track in enumerate(report.tracks)]
    bottom = _TOP + max(1, len(report.tracks)) * _ROW
    cuts = "".join(
        f'<path d="M{_LEFT + cut * wide / frames:.1f} {_TOP - 8}V{bottom}" stroke="{_CUT}" stroke-dasharray="4 3"/>'
        for cut in report.cuts
    )
    scale = "".join(
        f'<text x="{_LEFT + share * wide:.0f}" y="{bottom + 18}" text-anchor="middle">{round(share * frames)}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 30}" font-family="sans-serif" '
        f'font-size="12" fill="{_INK}"><rect width="{_WIDTH}" height="{bottom + 30}" fill="#fff"/>'
        f'<text x="8" y="18">faces along {frames} frames; line: flicker, up to {highest:.2f} of 255; dashed: cuts'
        f"</text>{''.join(rows)}{cuts}{scale}</svg>\n"
    )


def _row(track: TrackReport, top: int, step: float, highest: float) -> str:
    left, right, high = _LEFT + track.first * step, _LEFT + (track.last + 1) * step, _ROW - 12
    said = [f"{track.frames} frames"]
    said += [f"{track.missed} missed"] if track.missed else []
    said += [f"{track.dropouts} without"] if track.dropouts else []
    said += [f"identity {track.identity:.2f}"] if track.identity is not None else []
    block = (right - left) / max(1, len(track.course))
    points = [
        f"{left + (k + 0.5) * block:.1f},{top + high - value / highest * high:.1f}"
        for k, value in enumerate(track.course)
        if value is not None
    ]
    worn = track.missed or track.dropouts
    return (
        f'<text x="8" y="{top + 13}">face {track.number}</text>'
        f'<text x="8" y="{top + 28}" font-size="10">{", ".join(said)}</text>'
        f'<rect x="{left:.1f}" y="{top}" width="{max(1.0, right - left):.1f}" height="{high}" fill="{_BAR}"'
        f"{f' stroke={chr(34)}{_MISSED}{chr(34)}' if worn else ''}/>"
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>'
    )
