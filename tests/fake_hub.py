"""A Hub on the loopback: the routes that the real client asks for, recorded from its own calls."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = bytes(range(256)) * 2000


class FakeHub:
    """Repositories → files, and what happened. `cut`: bytes after which the next bodies are cut off, one by one."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.pages: dict[str, bytes] = {}
        self.cut: list[int] = []
        self.status: int | None = None
        self.ignores_ranges = False
        self.requests: list[tuple[str, str, str | None]] = []
        self.committed: list[dict[str, Any]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        # The client takes redirects to its own host as moved repositories, to others as the content's storage.
        self.storage = f"http://localhost:{self.server.server_port}"

    def seen(self, method: str, part: str) -> list[str | None]:
        """The Range headers of the requests so far with this method and this in their path."""
        return [ranged for verb, path, ranged in self.requests if verb == method and part in path]


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    thread = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_POST(self) -> None:
            hub.requests.append(("POST", self.path, None))
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/api/repos/create":
                repo = json.loads(data)
                name = f"{repo.get('organization') or 'me'}/{repo['name']}"
                hub.files.setdefault(name, {})
                self._json({"url": f"{hub.url}/{name}", "name": name, "id": name})
            elif self.path == "/api/validate-yaml":
                self._json({"errors": [], "warnings": []})
            elif "/preupload/" in self.path:
                asked = json.loads(data)["files"]
                self._json(
                    {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]}
                )
            elif "/commit/" in self.path:
                if self.headers.get("Authorization") != "Bearer hf_fake":
                    self._refuse(401, "")
                    return
                hub.committed += [json.loads(line) for line in data.splitlines()]
                self._json({"commitUrl": f"{hub.url}/me/new/commit/{COMMIT}", "commitOid": COMMIT, "success": True})
            else:
                self._refuse(404, "")

        def _answer(self, body: bool) -> None:
            path = self.path.split("?")[0]
            hub.requests.append((self.command, path, self.headers.get("Range")))
            if hub.status is not None:
                self._refuse(hub.status, "")
            elif path in hub.pages:
                self._body(hub.pages[path], body)
            elif match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
                self._body(hub.files[match[1]][match[2]], body)
            elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self._resolve(match[1], match[2], match[3], body)
            elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
                self._listing(match[1], match[2])
            else:
                self._refuse(404, "")

        def _resolve(self, repo: str, revision: str, name: str, body: bool) -> None:
            if repo in hub.gated:
                self._refuse(401, "GatedRepo")
            elif repo not in hub.files:
                # What the Hub says of a repository that is not there, or is another's.
                self._refuse(401, "RepoNotFound")
            elif revision not in ("main", COMMIT):
                self._refuse(404, "RevisionNotFound")
            elif name not in hub.files[repo]:
                self._refuse(404, "EntryNotFound")
            else:
                data = hub.files[repo][name]
                self.send_response(302)
                self.send_header("Location", f"{hub.storage}/cdn/{repo}/{name}")
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Linked-Size", str(len(data)))
                self.send_header("X-Linked-ETag", f'"{hashlib.sha256(data).hexdigest()}"')
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _listing(self, repo: str, revision: str) -> None:
            if repo not in hub.files:
                self._refuse(401, "RepoNotFound")
            elif revision not in ("main", COMMIT):
                self._refuse(404, "RevisionNotFound")
            else:
                files = hub.files[repo].items()
                self._json([{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in files])

        def _body(self, data: bytes, body: bool) -> None:
            ranged = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(ranged[1]) if ranged and not hub.ignores_ranges else 0
            if start >= len(data) > 0:
                self._refuse(416, "")
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if body:
                rest = data[start:]
                if hub.cut:
                    self.wfile.write(rest[: hub.cut.pop(0)])
                    self.close_connection = True
                else:
                    self.wfile.write(rest)

        def _json(self, values: object) -> None:
            data = json.dumps(values).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            if code == "EntryNotFound":
                self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler
