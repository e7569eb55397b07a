"""Writes into pyproject.toml where the project lives, as the ComfyUI registry wants to know it:

    python docs/scripts/registry_metadata.py https://github.com/OWNER/NAME --publisher ID

The publish workflow runs it with the address of the repository that it runs in; a fork needs no change.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent.parent
_TABLE = "[project.urls]"


def with_addresses(text: str, address: str, publisher: str) -> str:
    """The pyproject.toml `text` with the repository's addresses and the publisher's id; others there are replaced.

    Raises ValueError for an address that is no repository on GitHub.
    """
    parts = urlsplit(address)
    owner, _, name = parts.path.strip("/").removesuffix(".git").partition("/")
    if parts.scheme != "https" or parts.netloc != "github.com" or not owner or not name or "/" in name:
        raise ValueError(f"{address} is no repository: expected https://github.com/OWNER/NAME")
    address = f"https://github.com/{owner}/{name}"
    raw = f"https://raw.githubusercontent.com/{owner}/{name}/main/docs/registry"
    urls = f'{_TABLE}\nRepository = "{address}"\nDocumentation = "{address}#readme"\nIssues = "{address}/issues"\n\n'
    text = re.sub(r"\[project\.urls\]\n(?:\w+ = .*\n)*\n", "", text)
    text = text.replace("[project.scripts]\n", f"{urls}[project.scripts]\n", 1)
    for key, value in (("PublisherId", publisher), ("Icon", f"{raw}/icon.png"), ("Banner", f"{raw}/banner.jpg")):
        text, count = re.subn(rf'^{key} = ".*"$', f'{key} = "{value}"', text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"pyproject.toml has {count} lines for {key}; expected one")
    return text


def main() -> None:
    """Rewrites pyproject.toml."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", help="https://github.com/OWNER/NAME")
    parser.add_argument("--publisher", required=True, help="id of the publisher's account at the registry")
    arguments = parser.parse_args()
    path = ROOT / "pyproject.toml"
    path.write_text(
        with_addresses(path.read_text(encoding="utf-8"), arguments.repository, arguments.publisher), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
