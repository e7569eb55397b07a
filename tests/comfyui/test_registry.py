"""What the ComfyUI registry is told of the pack."""

from __future__ import annotations

import sys

import pytest
from pack_loader import ROOT
from PIL import Image
from training_scripts import script

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_a_repositorys_addresses_are_written_once_and_replace_earlier_ones() -> None:
    metadata = script("../docs/scripts/registry_metadata.py")
    once = metadata.with_addresses(TEXT, "https://github.com/them/old.git", "them")
    twice = metadata.with_addresses(once, "https://github.com/us/gpen", "us")
    assert twice == metadata.with_addresses(TEXT, "https://github.com/us/gpen", "us")
    told, before = tomllib.loads(twice), tomllib.loads(TEXT)
    assert told["project"].pop("urls")["Repository"] == "https://github.com/us/gpen"
    assert told["tool"]["comfy"]["PublisherId"] == "us"
    for key, name in (("Icon", "icon.png"), ("Banner", "banner.jpg")):
        assert told["tool"]["comfy"][key].endswith(f"us/gpen/main/docs/registry/{name}")
        assert (ROOT / "docs" / "registry" / name).is_file()
    assert told["project"] == before["project"]


@pytest.mark.parametrize("address", ["gpen", "http://github.com/us/gpen", "https://github.com/us", "https://a.b/c/d/e"])
def test_what_is_no_repository_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/NAME"):
        script("../docs/scripts/registry_metadata.py").with_addresses(TEXT, address, "us")


def test_icon_and_banner_have_the_shapes_that_the_registry_takes() -> None:
    pictures = ROOT / "docs" / "registry"
    with Image.open(pictures / "icon.png") as icon, Image.open(pictures / "banner.jpg") as banner:
        assert icon.width == icon.height <= 400
        assert banner.width * 9 == banner.height * 21
