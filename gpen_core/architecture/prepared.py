"""GPEN's inference form: several times faster than the plain form, and equal to it within rounding."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..errors import DeviceError
from ..threads import lanes_on, side_by_side
from .compiled import Graphed, check_compiler, check_graphs, compiled_activation
from .folded import FoldedConvLayer, FoldedLinear, FoldedModule, FoldedStyledConv
from .gpen import Network, check_input
from .layers import ConvLayer, EqualizedLinear
from .precision import DTYPES, FAITHFUL_DB, bfloat16_pays, check_precision, float32_as
from .priors import Features, Prior
from .strips import KEPT_BYTES, Workspace


class PlainPrior(FoldedModule):
    """A prior that has no inference form, as it is, in the computing precision."""

    def __init__(self, prior: Prior, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        # A new object with tensors of its own: the model that it comes from may go on training.
        self.prior = type(prior)(prior.config).to(next(prior.parameters()).device, dtype).requires_grad_(False)
        self.prior.load_state_dict(prior.state_dict())

    def cast(self, dtype: torch.dtype) -> PlainPrior:
        """The same prior in `dtype`."""
        return PlainPrior(self.prior, dtype)

    def forward(self, latent: Tensor, features: Features, workspace: Workspace) -> Tensor:
        """Pictures (B, 3, S, S), float32, from `latent` (B, latent_dim), float32, and the features."""
        pictures: Tensor = self.prior(latent.to(self.dtype), features)
        return pictures.float()


class WholeNetwork(FoldedModule):
    """A comparator, as it is, in the computing precision."""

    form = "plain network"
    shrink = 1
    """By how much a trial may shrink a face: not at all."""

    def __init__(self, model: Network, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        plain = model.generator
        self.plain = type(plain)(plain.config).to(next(plain.parameters()).device, dtype).requires_grad_(False)
        self.plain.load_state_dict(plain.state_dict())
        for parameter in self.plain.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def cast(self, dtype: torch.dtype) -> WholeNetwork:
        """The same network in `dtype`."""
        twin = copy.copy(self)
        twin.__dict__["_modules"] = {"plain": copy.deepcopy(self.plain).to(dtype)}
        twin.dtype = dtype
        return twin

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.plain.parameters()).device

    def forward(self, x: Tensor, workspace: Workspace, noise: Features | None = None) -> Tensor:
        """Faces (B, 3, S, S), float32, from `x` (B, 3, S, S)."""
        restored: Tensor = self.plain(x.to(self.dtype).contiguous(memory_format=torch.channels_last))
        return restored.float()


class PreparedNetwork(FoldedModule):
    """Encoder and decoder in one computing precision."""

    shrink = 4
    """By how much a trial may shrink a face: every layer takes part, in a sixteenth of the work."""

    def __init__(self, model: Network, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        layers = [m for name, m in model.named_modules() if isinstance(m, ConvLayer) and name.startswith("ecd")]
        self.encoder = nn.ModuleList(FoldedConvLayer(layer, dtype) for layer in layers)
        (head,) = (m for m in model.final_linear if isinstance(m, EqualizedLinear))
        self.head = FoldedLinear(head)
        prior = model.prior
        self.fed = model.config.options.features
        decoder = prior.prepared(dtype)
        self.decoder: FoldedModule = decoder if decoder is not None else PlainPrior(prior, dtype)
        self.feature_inputs = dict(prior.feature_inputs)
        self.drawn: dict[int, int] = {}
        for resolution, noise in model.drawn_features(self.head.weight.device).items():
            self.drawn[resolution] = len(noise)
            for index, plane in enumerate(noise):
                self.keep(f"noise_{resolution}_{index}", plane.to(dtype), computing=True)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    @property
    def form(self) -> str:
        """`prepared`, or `plain decoder` where the prior has no inference form."""
        return "plain decoder" if isinstance(self.decoder, PlainPrior) else "prepared"

    def forward(self, x: Tensor, workspace: Workspace, noise: Features | None = None) -> Tensor:
        """Faces (B, 3, out_size, out_size), float32, from `x` (B, 3, in_size, in_size).

        A face of a quarter the size goes through the same layers (see `agreement`).
        """
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        features: dict[int, Sequence[Tensor]] = {}
        resolution = 2 ** (len(self.encoder) + 1)
        shrink = resolution // x.shape[-1]
        for layer in self.encoder:
            x = layer(x, workspace, f"feature{resolution}")
            feature = x if self.fed else torch.zeros_like(x[:1])
            features[resolution] = (feature,) * self.feature_inputs[resolution]
            resolution //= 2
        latent: Tensor = self.head(x.repeat(1, 1, shrink, shrink).float().flatten(1))
        for size, count in self.drawn.items():
            given = noise[size] if noise is not None else [self.get_buffer(f"noise_{size}_{i}") for i in range(count)]
            part = size // shrink
            features[size] = tuple(plane[:, :, :part, :part].to(self.dtype) for plane in given)
        pictures: Tensor = self.decoder(latent, features, workspace)
        return pictures


class PreparedGPEN(nn.Module):
    """A GPEN for inference, called alike; made by `prepare`. Its state dict follows no convention.

    A face's result depends neither on its batch-mates nor on its place. Several threads may call one model.
    """

    def __init__(self, model: Network, precision: str, *, compile: bool = False, graph: bool = False) -> None:
        super().__init__()
        self.config = model.config
        self.card = model.card
        self.file = model.file
        self._precision = precision
        kind = WholeNetwork if model.generator.whole else PreparedNetwork
        self.network: PreparedNetwork | WholeNetwork = kind(model, DTYPES[precision if precision != "auto" else "fp32"])
        self._idle: list[Workspace] = []
        self._compile, self._graph = compile, graph
        self._runner: Callable[[Tensor, Workspace], Tensor] | None = None
        self._settled = precision not in ("auto", "fp16")
        self.eval()

    @property
    def precision(self) -> str:
        """What the model computes in; asking an `auto` model makes it decide."""
        self._decide()
        return self._precision

    @property
    def form(self) -> str:
        """`prepared`, `plain decoder` where the prior has no inference form, `plain network`; `compiled`, `graphed`."""
        return self.network.form + (" compiled" if self._compile else "") + (" graphed" if self._graph else "")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    @torch.no_grad()
    def forward(self, x: Tensor, *, noise: Features | None = None) -> Tensor:
        """Restored faces (B, 3, out_size, out_size), float32, not clamped, in the card's value range.

        x: (B, 3, in_size, in_size) RGB in the card's value range, any float dtype, on the model's device.
        noise: features (batch 1) for the resolutions above in_size; None: the set that the card's seed draws.
        Raises InputError for any other shape or kind of tensor.
        """
        check_input(x, self.config.in_size, self.device)
        self._decide()
        with float32_as(self._precision, x.device):
            if x.device.type != "cpu":
                with torch.autocast(x.device.type, enabled=False):
                    return self._run(x, Workspace(), noise)
            return self._face_by_face(x, noise)

    def _face_by_face(self, x: Tensor, noise: Features | None) -> Tensor:
        """On a CPU a batch gains nothing, and costs memory. Faces side by side, each with its share of the cores, wait
        less for each other than cores that share a face; none does for another where other work has its core.
        """
        size = self.config.out_size
        with torch.inference_mode(False):
            out = torch.empty(len(x), 3, size, size, device=x.device)

        def restore(index: int) -> None:
            with torch.autocast("cpu", enabled=False):  # a thread's own
                workspace = self._idle_workspace()
                out[index] = self._run(x[index : index + 1], workspace, noise)[0]
            if workspace.nbytes + sum(idle.nbytes for idle in self._idle) <= KEPT_BYTES:
                self._idle.append(workspace)

        begun = 0
        while begun < len(x):
            lanes = self._lanes(len(x) - begun)
            count = 1 if lanes == 1 else len(x) - begun
            deque(side_by_side(restore, range(begun, begun + count), lanes), maxlen=0)
            begun += count
        return out

    def _lanes(self, faces: int) -> int:
        """How many of so many faces go side by side: all of them, as far as cores and memory go, once it is known what
        one takes.
        """
        one = max((idle.nbytes for idle in self._idle), default=0)
        if self._compile or not one:
            return 1
        return lanes_on(self.device, max(1, min(faces, KEPT_BYTES // one)))

    def _idle_workspace(self) -> Workspace:
        try:
            return self._idle.pop()
        except IndexError:  # Not asked before: another thread may take the last one in between.
            return Workspace()

    def _run(self, x: Tensor, workspace: Workspace, noise: Features | None) -> Tensor:
        if noise is not None or not (self._compile or self._graph):
            out: Tensor = self.network(x, workspace, noise)
            return out
        if self._runner is None:
            self._runner = self._built(x.device)
        return self._runner(x, workspace)

    def _built(self, device: torch.device) -> Callable[[Tensor, Workspace], Tensor]:
        network = self.network
        if device.type == "cpu":
            # Whole, the network would lose its strips and its buffers: only what follows a convolution is compiled.
            one_pass = compiled_activation()
            for layer in network.modules():
                if isinstance(layer, FoldedStyledConv):
                    layer.one_pass = one_pass
            return network

        def whole(faces: Tensor) -> Tensor:
            # What is compiled or recorded plans its own memory.
            out: Tensor = network(faces, Workspace())
            return out

        runner: Callable[[Tensor], Tensor] = torch.compile(whole, dynamic=False) if self._compile else whole
        runner = Graphed(runner) if self._graph else runner
        return lambda faces, workspace: runner(faces)

    def _decide(self) -> None:
        """Settles `auto`, and refuses float16 where it overflows, when the weights are first used."""
        if self._settled:
            return
        if self._precision == "fp16" and not bool(trial(self.network, self.config.in_size).isfinite().all()):
            raise DeviceError("this network overflows in float16; use bf16 or fp32")
        if self._precision == "auto":
            chosen: tuple[PreparedNetwork | WholeNetwork, str] = self.network, "fp32"
            if bfloat16_pays(self.device):
                other = self.network.cast(torch.bfloat16)
                exact = trial(self.network, self.config.in_size)
                if psnr(trial(other, self.config.in_size), exact) >= FAITHFUL_DB:
                    chosen = other, "bf16"
            # At once: another thread that asks meanwhile tries for itself, and finds the same.
            self.network, self._precision = chosen
        self._settled = True


def trial(network: PreparedNetwork | WholeNetwork, in_size: int) -> Tensor:
    """What `network` makes of a fixed face, of a quarter the size where it can take that."""
    device, size = network.device, in_size // network.shrink
    source = Generator().manual_seed(0)
    face = torch.rand(1, 3, 8, 8, generator=source, device="cpu") * 2 - 1
    face = F.interpolate(face, size=(size, size), mode="bilinear").to(device)
    with torch.no_grad(), float32_as("fp32", device), torch.autocast(device.type, enabled=False):
        out: Tensor = network(face, Workspace())
    return out


def psnr(x: Tensor, reference: Tensor) -> float:
    """The peak signal-to-noise ratio of `x` in dB, for pictures whose values span two; −inf where any is not finite."""
    error = (x.double() - reference.double()).square().mean().item()
    if not math.isfinite(error):
        return -math.inf
    return math.inf if error == 0 else 10 * math.log10(4 / error)


def prepare(
    model: Network,
    *,
    precision: str = "auto",
    device: torch.device | str | None = None,
    compile: bool = False,
    graph: bool = False,
) -> PreparedGPEN:
    """The inference form of `model` on `device` (None: where the model is); it shares no memory with the model.

    precision: fp32, tf32, bf16, fp16, or auto: the fastest that keeps 45 dB to fp32 on this device, settled at the
        first call by a trial on these weights.
    compile: through `torch.compile`; the first call for each batch size takes minutes.
    graph: as CUDA graphs.
    Raises ConfigError for an unknown precision, DeviceError for what the device cannot do.
    """
    target = next(model.parameters()).device if device is None else torch.device(device)
    check_precision(precision, target)
    if compile:
        check_compiler(target)
    if graph:
        check_graphs(target)
    return PreparedGPEN(model, precision, compile=compile, graph=graph).to(target)
