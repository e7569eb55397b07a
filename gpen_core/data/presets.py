"""Named ranges of damage."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ConfigError
from ..fields import nearest
from .ranges import Pass, Ranges

_NEARLY_SOUND = Pass(blur=(0.2, 1.4), shrink=(1.0, 1.5), filters=("linear", "area"), noise=(0, 4), quality=(70, 98))
_MILD = Pass(blur=(0.3, 3.0), shrink=(1.0, 2.8), filters=("linear", "area"), noise=(0, 8), quality=(60, 97))
_MEDIUM = Pass(blur=(1.2, 6.5), shrink=(2.2, 5.5), filters=("area", "linear"), noise=(2, 16), quality=(45, 90))
_SEVERE = Pass(blur=(3.5, 10.5), shrink=(4.5, 10.5), filters=("area", "linear"), noise=(6, 24), quality=(28, 75))
_FIRST_ORDER = Pass(
    blur=(0.2, 4.0),
    motion=0.15,
    shrink=(0.7, 5.0),
    filters=("area", "linear", "cubic"),
    noise=(0, 20),
    grey_noise=0.3,
    poisson=0.4,
    quality=(35, 95),
    webp=0.15,
)
_SECOND_ORDER = Pass(
    blur=(0.2, 2.0),
    shrink=(0.8, 2.5),
    filters=("area", "linear", "cubic"),
    noise=(0, 14),
    grey_noise=0.3,
    poisson=0.3,
    quality=(35, 95),
    webp=0.1,
)
# A print of long ago, scanned: coarse grain, and a scanner's or an editor's sharpening over it.
_SCANNED = Pass(
    blur=(0.6, 5.0),
    shrink=(1.0, 4.0),
    filters=("area", "linear", "cubic"),
    noise=(0, 4),
    grey_noise=0.5,
    grain=(1, 16),
    sharpen=0.5,
    sharpen_amount=(0.3, 2.5),
    quality=(60, 97),
    blocks_anywhere=True,
)
# A picture out of a newspaper, a book, a school yearbook.
_HALFTONE = Pass(
    blur=(0.3, 2.5),
    halftone=1.0,
    shrink=(1.0, 4.0),
    filters=("area", "linear", "cubic"),
    noise=(0, 8),
    sharpen=0.4,
    sharpen_amount=(0.3, 2.0),
    quality=(60, 95),
    blocks_anywhere=True,
)
# A telephone in a dim room: a moving hand, shot noise, blotches of colour, and an eager sharpener.
_DIM_ROOM = Pass(
    blur=(0.5, 3.5),
    motion=0.4,
    shrink=(1.0, 4.5),
    filters=("area", "linear"),
    noise=(0, 6),
    poisson=0.6,
    photons=(60, 600),
    colour_noise=(1, 11),
    sharpen=0.4,
    sharpen_amount=(0.3, 1.5),
    quality=(55, 95),
    blocks_anywhere=True,
)
# Sent on: made smaller or larger by a telephone or a messenger, and saved once more.
_SENT_ON = Pass(
    shrink=(0.7, 2.0),
    filters=("area", "linear", "cubic"),
    sharpen=0.3,
    sharpen_amount=(0.2, 1.2),
    quality=(40, 85),
    webp=0.15,
    blocks_anywhere=True,
)
_AS_THEY_COME = ((_SCANNED,), (_SCANNED, _SENT_ON), (_HALFTONE, _SENT_ON), (_DIM_ROOM, _SENT_ON))

# "balanced-sound", and a third as photographs come: half of those were only sent on.
_PHOTOGRAPHS_SOUND = Ranges(
    chains=(
        *[(_NEARLY_SOUND,), (_MILD,), (_MEDIUM,), (_SEVERE,)] * 4,
        *[(_MILD, _SENT_ON), (_MEDIUM, _SENT_ON)] * 2,
        *_AS_THEY_COME,
    ),
    measured_at=512,
    toned_pair=0.1,
    faded=0.03,
    scratches=0.02,
)

PRESETS: dict[str, Ranges] = {
    # The released trainer's numbers, in pixels of whatever size it is given.
    "gpen-released": Ranges(
        chains=((Pass(blur=(0.1, 10.0), shrink=(0.8, 8.0), noise=(0, 20), quality=(60, 100)),),), grey_pair=0.2
    ),
    # The paper names Gaussian and motion blur but prints no ranges; these are second-hand, from reimplementations.
    "gpen-paper": Ranges(
        chains=(
            (
                Pass(
                    blur=(0.1, 15.0),
                    motion=0.5,
                    motion_length=(5.0, 40.0),
                    shrink=(0.8, 10.0),
                    noise=(0, 25),
                    quality=(5, 50),
                ),
            ),
        ),
        measured_at=1024,
    ),
    # GPEN's chain from nearly clean to badly damaged, each third of the samples from one band.
    "balanced": Ranges(chains=((_MILD,), (_MEDIUM,), (_SEVERE,)), measured_at=512),
    # The same and a fourth band of pictures that are nearly as they were: those are to be left so.
    "balanced-sound": Ranges(chains=((_NEARLY_SOUND,), (_MILD,), (_MEDIUM,), (_SEVERE,)), measured_at=512),
    # Two rounds, as pictures that were shared and saved again; and some that were printed long ago.
    "second-order": Ranges(
        chains=((_FIRST_ORDER,), (_FIRST_ORDER, _SECOND_ORDER)),
        measured_at=512,
        grey_pair=0.05,
        grey=0.15,
        sepia=0.1,
        scratches=0.15,
        banding=0.1,
    ),
    # Two thirds as "balanced", leaning to the mild band, so that good pictures stay good; a third as photographs come:
    # scanned prints, halftones, dim rooms, and what was sent on.
    "photographs": Ranges(
        chains=(
            *[(_MILD,)] * 3,
            *[(_MEDIUM,)] * 3,
            *[(_SEVERE,)] * 2,
            *_AS_THEY_COME,
        ),
        measured_at=512,
        toned_pair=0.15,
        faded=0.05,
        scratches=0.03,
    ),
    "photographs-sound": _PHOTOGRAPHS_SOUND,
    # The same, as a detector finds and cuts out such faces: seldom quite where the template says.
    "photographs-found": replace(_PHOTOGRAPHS_SOUND, moved_pair=0.4),
    "colorization": Ranges(chains=((),), target="colorization"),
    "inpainting": Ranges(chains=((),), target="inpainting"),
    **{
        f"super-resolution-{factor}": Ranges(
            chains=((Pass(shrink=(factor, factor), filters=("area",)),),), back="cubic"
        )
        for factor in (2, 4, 8, 16)
    },
    "none": Ranges(chains=((),)),
}


def find_preset(name: str) -> Ranges:
    """The ranges of this name. Raises ConfigError with the nearest name."""
    if name not in PRESETS:
        near = nearest(name, PRESETS)
        hint = f"; did you mean {near}?" if near else ""
        raise ConfigError(f"there is no degradation {name!r}{hint} There are: {', '.join(PRESETS)}")
    return PRESETS[name]
