"""The picture around the faces, enlarged."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from gpen_core.background import Upscaler, enlarged, load_upscaler
from gpen_core.errors import ConfigError, DeviceError, InputError, WeightsError
from gpen_core.images import Picture, as_picture
from gpen_core.images.picture import to_depth


class Nearest:
    """Repeats every pixel; remembers the largest side it was given."""

    def __init__(self, scale: int) -> None:
        self.scale = scale
        self.largest = 0

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        self.largest = max(self.largest, *image.shape[-2:])
        return F.interpolate(image, scale_factor=self.scale, mode="nearest")


class Local:
    """A small convolution, so that tiles without enough overlap would show."""

    scale = 2

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        blurred = F.avg_pool2d(F.pad(image, (3, 3, 3, 3), mode="replicate"), 7, stride=1)
        return F.interpolate(blurred, scale_factor=2, mode="nearest")


def noise(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(3).integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_upscaler_that_repeats_pixels_repeats_exactly_these(dtype):
    picture = as_picture(noise(50, 71, 4, dtype))
    larger = Upscaler(network=Nearest(2), tile=16, overlap=4)(picture, 2)
    assert larger.pixels.dtype == dtype
    np.testing.assert_array_equal(larger.pixels, picture.pixels.repeat(2, 0).repeat(2, 1))
    assert larger.alpha is not None
    assert larger.alpha.shape == (100, 142)


def test_tiles_leave_no_trace():
    picture = as_picture(noise(90, 70))
    tiled = Upscaler(network=Local(), tile=16, overlap=8)(picture, 2)
    whole = Upscaler(network=Local(), tile=128)(picture, 2)
    np.testing.assert_array_equal(tiled.pixels, whole.pixels)


def test_tiles_bound_what_the_network_sees():
    network = Nearest(1)
    Upscaler(network=network, tile=32, overlap=8)(as_picture(noise(200, 100)), 1)
    assert network.largest == 48


def test_a_network_of_another_scale_is_enlarged_to_the_one_asked_for():
    picture = Picture(pixels=np.full((20, 30, 3), 77, np.uint8))
    for scale in (1, 2, 3):
        larger = Upscaler(network=Nearest(4))(picture, scale)
        assert larger.pixels.shape == (20 * scale, 30 * scale, 3)
        assert (larger.pixels == 77).all()


def test_a_grey_picture_stays_grey():
    picture = as_picture(noise(20, 20, 1))

    def coloured(image: torch.Tensor) -> torch.Tensor:
        return image * torch.tensor([1.0, 0.5, 0.2])[:, None, None]

    coloured.scale = 1
    larger = Upscaler(network=coloured)(picture, 1)
    assert larger.grey
    assert (larger.pixels[..., 0] == larger.pixels[..., 2]).all()


def test_progress_ends_at_one():
    told = []
    Upscaler(network=Nearest(2), tile=16)(as_picture(noise(40, 40)), 2, done=told.append)
    assert told == [(i + 1) / 9 for i in range(9)]


def test_a_tile_that_does_not_fit_is_halved_until_none_does():
    class Hungry(Nearest):
        def __call__(self, image: torch.Tensor) -> torch.Tensor:
            if max(image.shape[-2:]) > limit:
                raise torch.cuda.OutOfMemoryError("no")
            return super().__call__(image)

    limit = 100
    picture = as_picture(noise(150, 150))
    larger = Upscaler(network=Hungry(2), tile=128, overlap=8)(picture, 2)
    np.testing.assert_array_equal(larger.pixels, picture.pixels.repeat(2, 0).repeat(2, 1))
    limit = 4
    with pytest.raises(DeviceError, match="tiles of 32"):
        Upscaler(network=Hungry(2))(picture, 2)


def test_enlarging_plainly_is_bilinear_in_every_depth():
    eight = noise(21, 34)
    expected = np.asarray(Image.fromarray(eight).resize((102, 63), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(enlarged(as_picture(eight), 3).pixels, expected)
    sixteen = as_picture(to_depth(eight, np.uint16))
    larger = enlarged(sixteen, 3)
    assert larger.pixels.dtype == np.uint16
    assert np.abs(to_depth(larger.pixels, np.uint8).astype(int) - expected).max() <= 1
    assert enlarged(sixteen, 1) is sixteen
    assert enlarged(as_picture(noise(5, 5, 2)), 2).grey


def test_sizes_out_of_range_are_refused():
    with pytest.raises(InputError, match="scale is 9"):
        enlarged(as_picture(noise(5, 5)), 9)
    with pytest.raises(InputError, match="scale is 0"):
        Upscaler(network=Nearest(2))(as_picture(noise(5, 5)), 0)
    with pytest.raises(ConfigError, match="tile is 8"):
        Upscaler(network=Nearest(2), tile=8)


def test_a_file_of_an_upscaling_network_is_recognised_and_runs(tmp_path):
    pytest.importorskip("spandrel")
    from safetensors.torch import save_file
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    network = ESRGAN(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=2)
    save_file(network.state_dict(), tmp_path / "x2.safetensors")
    torch.save({"params_ema": network.state_dict()}, tmp_path / "x2.pth")
    picture = as_picture(noise(33, 20))
    results = [
        load_upscaler(str(tmp_path / name), device="cpu")(picture, 2).pixels for name in ("x2.safetensors", "x2.pth")
    ]
    assert results[0].shape == (66, 40, 3)
    np.testing.assert_array_equal(*results)
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="no upscaling network"):
        load_upscaler(str(tmp_path / "other.safetensors"), device="cpu")
