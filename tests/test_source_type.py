"""What a result's XMP says of its making."""

from __future__ import annotations

import time
from xml.etree import ElementTree

import numpy as np
import pytest

from gpen_core.images import as_picture, read_picture
from gpen_core.images.metadata import Provenance
from gpen_core.images.source_type import SOURCE_TYPE, with_source_type

BY = Provenance(model="small", version="1")
TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
CAMERA = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="uuid:7" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"'
    b' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"%b>%b</rdf:Description>'
    b"</rdf:RDF></x:xmpmeta>"
)
CAPTURE = b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def descriptions(xmp: bytes) -> list[ElementTree.Element]:
    body = xmp[xmp.index(b"<x:xmpmeta") : xmp.index(b"</x:xmpmeta>") + len(b"</x:xmpmeta>")]
    return [element for element in ElementTree.fromstring(body).iter() if element.tag.endswith("}Description")]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_results_say_that_a_network_made_part_of_them_unless_switched_off(tmp_path, suffix):
    picture = as_picture(np.full((24, 32, 3), 90, np.uint8))
    picture.save(tmp_path / f"said{suffix}", provenance=BY)
    picture.save(tmp_path / f"silent{suffix}")
    (found,) = descriptions(read_picture(tmp_path / f"said{suffix}").xmp)
    assert found.get(TYPE) == SOURCE_TYPE.decode()
    assert read_picture(tmp_path / f"silent{suffix}").xmp is None


@pytest.mark.parametrize(
    ("attribute", "element"),
    [
        (b"", b""),
        (b' Iptc4xmpExt:DigitalSourceType="%b"' % CAPTURE, b""),
        (b" Iptc4xmpExt:DigitalSourceType='%b'" % CAPTURE, b""),
        (b"", b"<Iptc4xmpExt:DigitalSourceType>%b</Iptc4xmpExt:DigitalSourceType>" % CAPTURE),
    ],
)
def test_what_was_said_of_the_making_is_replaced_and_all_else_stays(attribute, element):
    said = with_source_type(CAMERA % (attribute, element))
    camera, ours = descriptions(said)
    assert camera.attrib == {"{http://ns.adobe.com/xap/1.0/}Rating": "5", ABOUT: "uuid:7"}
    assert len(camera) == 0
    assert ours.attrib == {TYPE: SOURCE_TYPE.decode(), ABOUT: "uuid:7"}
    assert with_source_type(said) == said
    assert b"digitalCapture" not in said


@pytest.mark.parametrize("block", [b"", b"no XMP", "<rdf:RDF></rdf:RDF>".encode("utf-16"), b"\xff" * 99])
def test_a_block_that_is_no_xmp_comes_back_as_it_was(block):
    assert with_source_type(block) == block


@pytest.mark.parametrize(
    "part", [b" ", b"<rdf:Description ", b"<a:DigitalSourceType ", b" a:DigitalSourceType='", b"<"]
)
def test_no_block_costs_more_than_its_length(part):
    began = time.process_time()
    with_source_type(b"<x:xmpmeta>" + part * 100_000 + b"</rdf:RDF>")
    assert time.process_time() - began < 60  # by the square of its length it were hours
