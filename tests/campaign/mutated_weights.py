"""Files of weights with one entry changed: case number N is made from N alone."""

from __future__ import annotations

import collections
import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

OPCODES = b"0123(.)}]{[abcdeghijklqrstuRQMKJNBXh\x80\x85\x86\x87\x94\xff\x00"

Mutation = Callable[[random.Random, "Seeds"], tuple[str, bytes]]

STRANGE_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**30,
    10**400,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "a\nb\x00",
    "x" * 5000,
    "stylegan2",
    [],
    [1, 2, 3],
    {},
    {"a": {"b": []}},
    [[[[[[]]]]]],
]


class Seeds:
    """The good files that mutations start from, made once in each child."""

    def __init__(self) -> None:
        import torch

        from gpen_core import GPEN, GPENConfig, ModelCard
        from gpen_core.weights.description import Header, encode

        config = GPENConfig.standard(8, out_size=16, narrow=1 / 128, style_dim=8, n_mlp=2)
        model = GPEN(config, generator=torch.Generator().manual_seed(0))
        self.tensors = dict(model.state_dict())
        self.metadata = encode(Header(config, ModelCard(name="tiny"), None))
        from safetensors.torch import save

        self.safetensors = save(self.tensors, metadata=self.metadata)
        self.zipped = self.pickled(self.tensors)
        self.old = self.pickled(self.tensors, new=False)

    @staticmethod
    def pickled(held: object, *, new: bool = True) -> bytes:
        """What torch.save writes."""
        import torch

        file = io.BytesIO()
        torch.save(held, file, _use_new_zipfile_serialization=new)
        return file.getvalue()


def with_header(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A safetensors file with another header."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def described(draw: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """One entry of the configuration or of the card, changed, removed or added."""
    key = draw.choice(("gpen.config", "gpen.card"))

    def change(header: dict[str, Any]) -> None:
        values = json.loads(header["__metadata__"][key])
        inner = values
        if draw.random() < 0.2 and isinstance(values.get("channels"), dict):
            inner = values["channels"]
        name = draw.choice([*inner, "new", "self", "options", "details"])
        if draw.random() < 0.15:
            inner.pop(name, None)
        else:
            inner[name] = draw.choice(STRANGE_VALUES)
        header["__metadata__"][key] = json.dumps(values)

    return ".safetensors", with_header(seeds.safetensors, change)


def metadata(draw: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """One whole text of the metadata, or a text of it with characters changed."""

    def change(header: dict[str, Any]) -> None:
        own = header["__metadata__"]
        name = draw.choice([*own, "new"])
        if draw.random() < 0.5:
            own[name] = draw.choice(("", "[]", "{", "3", "null", "[" * 5000, "9" * 5000, '"x"', "\ud800", "NaN"))
        else:
            text = list(own.get(name, "{}"))
            for _ in range(draw.randint(1, 4)):
                text[draw.randrange(len(text))] = draw.choice('{}[]",:0123456789eE-.nulltrue\\ \x00é')
            own[name] = "".join(text)

    return ".safetensors", with_header(seeds.safetensors, change)


def tensor_entry(draw: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """One tensor's name, type, shape or place in a safetensors header."""

    def change(header: dict[str, Any]) -> None:
        name = draw.choice([key for key in header if key != "__metadata__"])
        entry = header[name]
        kind = draw.randrange(5)
        if kind == 0:
            header[draw.choice((name + "\n", "x" * 2000, "", "generator." + name, "\x1b[1m"))] = header.pop(name)
        elif kind == 1:
            entry["dtype"] = draw.choice(("F16", "BF16", "F64", "I64", "U8", "F8_E4M3", "BOOL", "C64", "X", 3, None))
        elif kind == 2:
            shape = entry["shape"]
            entry["shape"] = draw.choice(([*shape, 1], shape[:-1], shape[::-1], [0], [2**40], [-1], ["a"], None))
        elif kind == 3:
            entry["data_offsets"] = draw.choice(([0, 0], [0, 2**60], [5, 1], [0], None, entry["data_offsets"][::-1]))
        else:
            header.pop(name)

    return ".safetensors", with_header(seeds.safetensors, change)


def flipped(draw: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """Some bytes of a whole file, mostly where its structure lies, or a part of it."""
    suffix, data = draw.choice(
        ((".safetensors", seeds.safetensors), (".pth", seeds.zipped), (".pt", seeds.old), (".ckpt", seeds.zipped))
    )
    changed = bytearray(data)
    kind = draw.randrange(6)
    if kind == 0:
        del changed[draw.randrange(len(changed)) :]
    elif kind == 1:
        start = draw.randrange(len(changed))
        del changed[start : start + draw.randint(1, 200)]
    elif kind == 2:
        start = draw.randrange(len(changed))
        changed[start:start] = draw.randbytes(draw.randint(1, 50))
    else:
        near = {3: lambda: draw.randrange(len(changed)), 4: lambda: draw.randrange(min(4000, len(changed)))}
        place = near.get(kind, lambda: max(0, len(changed) - 1 - draw.randrange(min(6000, len(changed)))))
        for _ in range(draw.randint(1, 5)):
            changed[place()] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return suffix, bytes(changed)


def pickle_bytes(draw: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """Some bytes of the pickle inside an archive whose sums are right."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(seeds.zipped)) as good, zipfile.ZipFile(file, "w") as changed:
        for record in good.infolist():
            content = bytearray(good.read(record))
            if record.filename.endswith("data.pkl"):
                for _ in range(draw.randint(1, 6)):
                    place = draw.randrange(len(content))
                    if draw.random() < 0.7:
                        content[place] = draw.choice(
                            b"0123(.)}]{[abcdeghijklqrstuRQMKJNBXh\x80\x85\x86\x87\x94\xff\x00"
                        )
                    else:
                        content[place:place] = draw.randbytes(draw.randint(1, 3))
            changed.writestr(record.filename, bytes(content))
    return ".pth", file.getvalue()


def held_objects(draw: random.Random, seeds: Seeds) -> tuple[str, bytes]:
    """One value of the state dict, or what wraps it, replaced by something that pickles."""
    import torch

    tensors: dict[Any, Any] = dict(seeds.tensors)
    name = draw.choice(list(tensors))
    tensor = tensors[name]
    recursive: dict[Any, Any] = {}
    recursive["state_dict"] = recursive
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    strange: list[Callable[[], Any]] = [
        lambda: torch.zeros(1).expand(1 << 20, 1 << 20),
        lambda: torch.zeros(1, dtype=tensor.dtype).expand(tensor.shape),
        lambda: tensor.to("meta"),
        lambda: tensor.to_sparse(),
        lambda: tensor.half().to(torch.float8_e5m2),
        lambda: tensor.to(torch.complex64),
        lambda: torch.nn.Parameter(tensor),
        lambda: tensor.to(torch.int8),
        lambda: tensor * float("nan"),
        lambda: torch.empty(0),
        lambda: torch.zeros([1] * 40),
        lambda: tensor.T if tensor.ndim == 2 else tensor[None],
        lambda: torch.quantize_per_tensor(tensor, 0.1, 0, torch.quint8),
        lambda: deep,
        lambda: recursive,
        lambda: draw.choice(STRANGE_VALUES),
        lambda: collections.OrderedDict(a=1),
        lambda: bytearray(10),
    ]
    value = draw.choice(strange)()
    kind = draw.randrange(4)
    held: Any = tensors
    if kind == 0:
        tensors[name] = value
    elif kind == 1:
        tensors[draw.choice(("new\nline", 3, ("a", (1, 2)), None, "x" * 3000, 1.5))] = value
    elif kind == 2:
        held = {draw.choice(("g_ema", "params", "state_dict", "d")): value}
    else:
        held = value
    try:
        data = seeds.pickled(held, new=draw.random() < 0.6)
    except (RuntimeError, pickle.PicklingError, NotImplementedError):
        data = seeds.pickled(3)
    return draw.choice((".pth", ".pt", ".bin", ".ckpt")), data


MUTATIONS: tuple[Mutation, ...] = (described, metadata, tensor_entry, flipped, pickle_bytes, held_objects)


def make(number: int, seeds: Seeds) -> tuple[str, str, bytes]:
    """(kind, suffix, content) of case `number`."""
    draw = random.Random(number)
    mutation = MUTATIONS[number % len(MUTATIONS)]
    return (mutation.__name__, *mutation(draw, seeds))
