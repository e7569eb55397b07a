"""What kind of making a picture comes of, in its XMP, as IPTC asks of pictures that a trained network had a hand in."""

from __future__ import annotations

import re

#: IPTC Photo Metadata's property, and its term for a picture into which a trained network put something.
_NAMESPACE = b"http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
SOURCE_TYPE = b"http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_EMPTY = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
_END = re.compile(rb"</(\w+):RDF\s*>")
# Nothing here looks beyond the next tag, so that no block costs more than its length.
_ABOUT = re.compile(rb"""<\w+:Description\b[^<>]*?\s\w+:about=(["'])([^<>"']*)\1""")
_SAID = re.compile(
    rb"""\s\w+:DigitalSourceType=(?:"[^<>"]*"|'[^<>']*')|"""
    rb"""<\w+:DigitalSourceType\b[^<>]*(?:/>|>[^<>]*</\w+:DigitalSourceType\s*>)"""
)


def with_source_type(xmp: bytes | None) -> bytes | None:
    """The XMP block saying that a trained network made part of the picture, instead of what it said of its making.

    All else stays byte for byte; a block that is no XMP in UTF-8 comes back as it was.
    """
    if xmp is not None and SOURCE_TYPE in xmp:
        return xmp
    block = _EMPTY if xmp is None else _SAID.sub(b"", xmp)
    end = _END.search(block)
    if end is None:
        return xmp
    prefix, about = end[1], _ABOUT.search(block)
    quote, value = (b'"', b"") if about is None else about.group(1, 2)
    said = b"<%b:Description %b:about=%b%b%b xmlns:Iptc4xmpExt=%b Iptc4xmpExt:DigitalSourceType=%b/>" % (
        *(prefix, prefix, quote, value, quote),
        *(b'"%b"' % _NAMESPACE, b'"%b"' % SOURCE_TYPE),
    )
    return block[: end.start()] + said + block[end.start() :]
