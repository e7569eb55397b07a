"""What a service counts, in the text format that Prometheus reads."""

from __future__ import annotations

import threading
from collections import Counter

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counts of requests by status, of pictures, faces and groups, and how long requests took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[int] = Counter()
        self._within: Counter[float] = Counter()
        self._seconds = 0.0
        self._faces = self._groups = self._pictures = 0

    def answered(self, status: int, seconds: float, faces: int = 0) -> None:
        """Counts one request."""
        with self._lock:
            self._answers[status] += 1
            self._seconds += seconds
            self._faces += faces
            for bound in _SECONDS:
                self._within[bound] += seconds <= bound

    def grouped(self, pictures: int) -> None:
        """Counts one group of pictures that went through the networks together."""
        with self._lock:
            self._groups += 1
            self._pictures += pictures

    def text(self, *, waiting: int) -> str:
        """The page; waiting: requests that have no answer yet."""
        with self._lock:
            total = sum(self._answers.values())
            return "\n".join(
                (
                    "# HELP gpen_requests_total Answers to POST /restore by status.",
                    "# TYPE gpen_requests_total counter",
                    *(f'gpen_requests_total{{status="{code}"}} {n}' for code, n in sorted(self._answers.items())),
                    "# HELP gpen_request_seconds From the request's first byte to its answer.",
                    "# TYPE gpen_request_seconds histogram",
                    *(f'gpen_request_seconds_bucket{{le="{bound:g}"}} {self._within[bound]}' for bound in _SECONDS),
                    f'gpen_request_seconds_bucket{{le="+Inf"}} {total}',
                    f"gpen_request_seconds_sum {self._seconds:.6f}",
                    f"gpen_request_seconds_count {total}",
                    "# HELP gpen_faces_total Faces in the answers.",
                    "# TYPE gpen_faces_total counter",
                    f"gpen_faces_total {self._faces}",
                    "# HELP gpen_group_pictures Pictures that went through the networks together.",
                    "# TYPE gpen_group_pictures summary",
                    f"gpen_group_pictures_sum {self._pictures}",
                    f"gpen_group_pictures_count {self._groups}",
                    "# HELP gpen_waiting Requests that have no answer yet.",
                    "# TYPE gpen_waiting gauge",
                    f"gpen_waiting {waiting}",
                    "",
                )
            )
