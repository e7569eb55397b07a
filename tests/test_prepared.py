"""The inference form: equal to the plain one, the same for every face of a batch, honest about what it cannot do."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from golden_cases import cases, load
from torch import Tensor, nn

from gpen_core import GPEN, load_model
from gpen_core.architecture import PRIORS, Prior, compiled, prepared, strips
from gpen_core.architecture.prepared import PreparedGPEN, prepare, psnr
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError, DeviceError, InputError

SMALL = GPENConfig.standard(64, narrow=1 / 32, style_dim=16, n_mlp=2)


def network(config: GPENConfig = SMALL, seed: int = 0) -> GPEN:
    """A network whose pictures are pictures, in which no bias and no feature weight is zero."""
    generator = torch.Generator().manual_seed(seed)
    model = GPEN(config, ModelCard(name="small", noise_seed=3), generator=generator)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("noise.weight"):
                parameter.fill_(0.7)
            elif name.endswith("bias") and "modulation" not in name:
                parameter.normal_(0, 0.2, generator=generator)
            elif "to_rgb" in name and name.endswith("conv.weight"):
                parameter.mul_(0.2)
    return model.eval()


def faces(count: int, size: int = 64, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("case", cases("restorer"), ids=lambda c: c.name)
def test_the_prepared_form_gives_the_reference_output(case: Path) -> None:
    config, weights, io = load(case)
    model = GPEN(config)
    model.load_state_dict(weights)
    torch.testing.assert_close(prepare(model, precision="fp32")(io["input"]), io["output"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("limit", [2**10, 2**14, 2**18])
@pytest.mark.parametrize("concat", [True, False])
def test_strips_of_any_height_give_the_plain_result(limit: int, concat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", limit)
    model = network(GPENConfig.standard(64, narrow=1 / 32, style_dim=16, n_mlp=2, concat=concat))
    with torch.no_grad():
        torch.testing.assert_close(prepare(model, precision="fp32")(faces(1)), model(faces(1)), rtol=0, atol=2e-5)


def test_filtered_rows_are_the_rows_of_the_filtered_picture() -> None:
    x = faces(1, 16).double()
    kernel = torch.rand(3, 1, 4, 4, dtype=torch.float64)

    def smooth(part: Tensor, rows: int) -> Tensor:
        return F.conv2d(part, kernel, padding=(rows, 2), groups=3)

    whole = smooth(x, 2)
    for start in range(whole.shape[2]):
        for stop in range(start + 1, whole.shape[2] + 1):
            rows = strips.filtered_rows(x, start, stop, taps=4, padding=2, filter_=smooth)
            torch.testing.assert_close(rows, whole[:, :, start:stop])


def test_a_batch_on_another_device_runs_whole_and_agrees_with_single_faces() -> None:
    """The form that scales activations serves batches on accelerators; here it is called directly."""
    model = prepare(network(), precision="fp32")
    batch = faces(3)
    with torch.no_grad():
        together = model.network(batch, strips.Workspace())
    torch.testing.assert_close(together, model(batch), rtol=0, atol=2e-5)


def test_a_face_comes_out_the_same_alone_and_anywhere_in_a_batch() -> None:
    for config in (SMALL, GPENConfig.standard(32, out_size=64, narrow=1 / 32, style_dim=16, n_mlp=2)):
        model = prepare(network(config), precision="fp32")
        x = faces(3, config.in_size)
        assert torch.equal(model(x)[2], model(x.flip(0))[0])
        assert torch.equal(model(x)[1:2], model(x[1:2]))


def test_faces_go_side_by_side_once_it_is_known_what_one_takes(
    two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = prepare(network(), precision="fp32")
    x = faces(5)
    alone = torch.cat([model(face[None]) for face in x])
    seen: list[tuple[int, int]] = []
    run = model._run

    def watched(face: Tensor, *rest: Any) -> Tensor:
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return run(face, *rest)

    monkeypatch.setattr(model, "_run", watched)
    assert torch.equal(model(x), alone)
    assert {cores for _, cores in seen} == {1}
    assert len(seen) == 5
    assert threading.get_ident() not in {thread for thread, _ in seen}
    seen.clear()
    monkeypatch.setattr(prepared, "KEPT_BYTES", 1)  # no room for two
    assert torch.equal(model(x), alone)
    assert set(seen) == {(threading.get_ident(), 2)}


def test_a_face_comes_out_the_same_with_any_number_of_cores(two_cores: None) -> None:
    model = load_model("gpen-open-256", device="cpu", precision="fp32")  # large enough for its sums to be shared out
    x = faces(1, 256)
    with_two = model(x)
    torch.set_num_threads(1)
    assert torch.equal(model(x), with_two)


def test_a_model_that_was_called_in_inference_mode_can_be_called_out_of_it_and_back() -> None:
    model = prepare(network(), precision="fp32")
    x = faces(3)
    with torch.inference_mode():
        first = model(x.clone()) + 0
    assert torch.equal(model(x), first)
    with torch.inference_mode():
        assert torch.equal(model(x), first)


def test_levels_above_the_input_share_the_noise_of_the_plain_form() -> None:
    model = network(GPENConfig.standard(16, out_size=64, narrow=1 / 32, style_dim=16, n_mlp=2))
    fast = prepare(model, precision="fp32")
    x = faces(2, 16)
    noise = model.generator.draw_noise(1, generator=torch.Generator().manual_seed(9), resolutions=[32, 64])
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x), rtol=0, atol=2e-5)
        torch.testing.assert_close(fast(x, noise=noise), model(x, noise=noise), rtol=0, atol=2e-5)
    assert not torch.equal(fast(x, noise=noise), fast(x))


def test_calls_do_not_disturb_one_another() -> None:
    model = prepare(network(), precision="fp32")
    first, second = faces(1, seed=1), faces(1, seed=2)
    expected = model(first)
    kept = model(first)
    model(second)
    assert torch.equal(kept, expected)
    results: list[bool] = []

    def restore() -> None:
        results.extend(torch.equal(model(first), expected) for _ in range(5))

    threads = [threading.Thread(target=restore) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 15


def test_bfloat16_stays_close_and_gives_float32() -> None:
    model = network()
    low = prepare(model, precision="bf16")(faces(1))
    assert low.dtype == torch.float32
    assert psnr(low, prepare(model, precision="fp32")(faces(1))) > 45


def test_half_precision_faces_are_taken() -> None:
    model = prepare(network(), precision="fp32")
    x = faces(1).half()
    assert torch.equal(model(x), model(x.float()))


def test_preparing_leaves_the_model_as_it_was_and_shares_nothing_with_it() -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = prepare(model, precision="fp32")
    result = fast(faces(1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(fast(faces(1)), result)


def test_no_gradient_flows_and_no_switch_stays_turned() -> None:
    fast = prepare(network(), precision="fp32")
    before = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    out = fast(faces(1).requires_grad_())
    assert not out.requires_grad
    assert not out.is_inference()
    assert (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()) == before


def test_auto_takes_bfloat16_only_where_it_pays_and_is_faithful(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    monkeypatch.setattr(prepared, "bfloat16_pays", lambda device: True)
    chosen = prepare(model)
    assert chosen.precision == "bf16"
    assert torch.equal(chosen(faces(1)), prepare(model, precision="bf16")(faces(1)))
    monkeypatch.setattr(prepared, "FAITHFUL_DB", 200.0)
    assert prepare(model).precision == "fp32"
    monkeypatch.setattr(prepared, "FAITHFUL_DB", 45.0)
    monkeypatch.setattr(prepared, "bfloat16_pays", lambda device: False)
    assert prepare(model).precision == "fp32"


def test_float16_that_overflows_is_refused() -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("ecd0.0.1.bias").fill_(60000.0)
    with pytest.raises(DeviceError, match="overflows in float16"):
        prepare(model, precision="fp16")(faces(1))


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"precision": "int8"}, ConfigError, "fp32, tf32, bf16"),
        ({"precision": "tf32"}, DeviceError, "TF32 needs an NVIDIA GPU"),
        ({"precision": "fp32", "graph": True}, DeviceError, "CUDA graphs need a CUDA device"),
    ],
)
def test_what_the_device_cannot_do_is_refused_by_name(options: dict[str, Any], kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        prepare(network(), device="cpu", **options)


@pytest.mark.parametrize("concat", [True, False])
def test_the_expression_to_be_compiled_is_what_the_single_steps_give(
    concat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = prepare(
        network(GPENConfig.standard(64, narrow=1 / 32, style_dim=16, n_mlp=2, concat=concat)), precision="fp32"
    )
    expected = fast(faces(1))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(fast(faces(1)), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # of torch's own compiler
def test_the_compiled_form_gives_the_prepared_result() -> None:
    model = network()
    fast = prepare(model, precision="fp32", device="cpu", compile=True)
    assert fast.form == "prepared compiled"
    torch.testing.assert_close(fast(faces(2)), prepare(model, precision="fp32")(faces(2)), rtol=0, atol=1e-5)


def test_compiling_without_a_compiler_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    with pytest.raises(DeviceError, match=r"needs a C\+\+ compiler.*leave compile off"):
        prepare(network(), precision="fp32", device="cpu", compile=True)


def test_wrong_input_is_refused_as_by_the_plain_form() -> None:
    with pytest.raises(InputError, match="64, 64"):
        prepare(network(), precision="fp32")(faces(1, 32))


class FlatPrior(Prior):
    """A prior without an inference form: it sums its features."""

    name: ClassVar[str] = "flat"

    def __init__(self, config: GPENConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        self.mix = nn.Conv2d(config.channels[config.out_size], 3, 1)

    @property
    def feature_inputs(self) -> Mapping[int, int]:
        return dict.fromkeys(self.resolutions, 1)

    def forward(self, latent: Tensor, features: Any) -> Tensor:
        out: Tensor = self.mix(features[self.config.out_size][0]) + latent.mean(dim=1)[:, None, None, None]
        return out

    @classmethod
    def recognise(cls, shapes: Any) -> dict[str, Any] | None:
        return None


def test_a_prior_without_an_inference_form_runs_as_it_is_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIORS, "flat", FlatPrior)
    model = GPEN(GPENConfig.standard(16, narrow=1 / 32, style_dim=16, prior="flat")).eval()
    fast = prepare(model, precision="fp32")
    assert fast.form == "plain decoder"
    assert prepare(network(), precision="fp32").form == "prepared"
    with torch.no_grad():
        torch.testing.assert_close(fast(faces(2, 16)), model(faces(2, 16)), rtol=0, atol=1e-5)
    assert psnr(prepare(model, precision="bf16")(faces(1, 16)), fast(faces(1, 16))) > 40


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "least"), [("fp32", 90.0), ("tf32", 50.0), ("bf16", 45.0)])
@pytest.mark.parametrize("graph", [False, True])
def test_a_gpu_gives_what_the_cpu_gives(precision: str, least: float, graph: bool) -> None:
    switches = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    model = network()
    expected = prepare(model, precision="fp32")(faces(4))
    fast: PreparedGPEN = prepare(model, precision=precision, device="cuda", graph=graph)
    for count in (1, 4, 1):
        assert psnr(fast(faces(4)[:count].cuda()).cpu(), expected[:count]) > least
    assert switches == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
