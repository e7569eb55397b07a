"""What a client asks for: its body, within bounds, and what its address says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..batch.kinds import begins_like_film
from ..errors import ConfigError
from ..fields import Option, nearest
from ..images.writing import FORMATS
from ..option_texts import with_texts, written
from ..options import RestoreOptions

#: What an address may say beside the options: how the result is written.
_FORMATS = {suffix.removeprefix("."): name for suffix, name in FORMATS.items()}
#: Of a body that is too large so many times the limit is still read, so that its sender hears the answer.
_DRAINED = 4
_FILM = "this is a film; pictures are restored here, films by `gpen restore FILM -o RESULT` or `gpen app`"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be done. format: of the result, by Pillow's name; None: as the picture came."""

    options: RestoreOptions
    aligned: bool = False
    format: str | None = None
    quality: int | None = None

    @classmethod
    def of(cls, query: QueryParams) -> Wish:
        """What an address says after its question mark. Raises ConfigError."""
        said: dict[str, Any] = dict(query)
        for name in said:
            if (times := len(query.getlist(name))) > 1:
                raise ConfigError(f"{name} is said {times} times; say it once")
        name, quality, aligned = said.pop("format", None), said.pop("quality", None), said.pop("aligned", "false")
        if name is not None and name not in _FORMATS:
            near = nearest(name, _FORMATS)
            raise ConfigError(f"format is {name!r}; " + (f"did you mean {near}?" if near else "jpg, png and webp do"))
        if quality is not None and not (quality.isdecimal() and 1 <= int(quality) <= 100):
            raise ConfigError(f"quality is {quality!r}; expected 1 to 100")
        if aligned not in ("true", "false"):
            raise ConfigError(f"aligned is {aligned!r}; expected true or false")
        return cls(
            options=with_texts(RestoreOptions(), said),
            aligned=aligned == "true",
            format=None if name is None else _FORMATS[name],
            quality=None if quality is None else int(quality),
        )


def parameters() -> list[dict[str, Any]]:
    """OpenAPI's description of what an address may say, made of the options' own."""
    own = {
        "format": ({"type": "string", "enum": sorted(_FORMATS)}, "Of the result; as the picture came, if not said."),
        "quality": ({"type": "integer", "minimum": 1, "maximum": 100}, "Of a JPEG, WebP or AVIF."),
        "aligned": ({"type": "boolean", "default": False}, "The picture is one straightened face, nothing else."),
    }
    options = {name: (_schema(entry), entry.help) for name, entry in written(RestoreOptions).items()}
    return [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": said}
        for name, (schema, said) in (own | options).items()
    ]


def _schema(entry: Option) -> dict[str, Any]:
    if entry.container is not None:
        return {"type": "string", "example": entry.form}
    if entry.choices:
        return {"type": "string", "enum": list(entry.choices)}
    kind = {bool: "boolean", int: "integer", float: "number"}.get(entry.kind, "string")
    bounds = {"minimum": entry.low, "maximum": entry.high} if kind in ("integer", "number") else {}
    finite = {name: value for name, value in bounds.items() if abs(value) != float("inf")}
    plain = entry.default is not None and entry.default != float("inf")
    return {"type": kind, **finite, **({"default": entry.default} if plain else {})}


async def read_body(request: Request, *, most: int, seconds: float) -> bytes:
    """The picture that a request brings. Raises HTTPException for what is too large, too slow or no picture;
    ClientDisconnect where the client goes away."""
    # (What a client calls the picture does not count: curl says "urlencoded" of any --data-binary.)
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(415, "a form was sent; send the picture itself as the body (curl --data-binary @FILE)")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "the body is compressed; send the picture's file as it is")
    claimed = request.headers.get("content-length", "")
    too_large = claimed.isdecimal() and int(claimed) > most
    try:
        body = await asyncio.wait_for(_read(request, most, too_large), seconds)
    except asyncio.TimeoutError:
        raise HTTPException(408, f"the body did not come within {seconds:g} seconds") from None
    if body is None:
        raise HTTPException(413, f"the body is larger than {most / 1e6:g} MB; send a smaller file (--max-body)")
    if not body:
        raise HTTPException(400, "the body is empty; send a picture's file (curl --data-binary @FILE)")
    if begins_like_film(body[:1024]):
        raise HTTPException(415, _FILM)
    return body


async def _read(request: Request, most: int, too_large: bool) -> bytes | None:
    """The body, or None where it is too large."""
    body, drained = bytearray(), 0
    async for part in request.stream():
        if too_large or len(body) + len(part) > most:
            too_large = True
            body.clear()
            drained += len(part)
            if drained > _DRAINED * most:
                return None
        else:
            body += part
    return None if too_large else bytes(body)


async def gone(request: Request) -> None:
    """Returns when the client has gone away; for a request whose body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
