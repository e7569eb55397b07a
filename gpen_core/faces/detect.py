"""RetinaFace, with either backbone (Deng et al., "RetinaFace: Single-stage Dense Face Localisation in the Wild")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from ..errors import InputError, WeightsError
from ..threads import lanes_on, side_by_side
from .anchors import anchors, decode_boxes, decode_landmarks
from .blurred import is_blurred, read_smaller
from .duplicates import distinct, overlaps, strongest
from .library import build, fold_batch_norms, library_class, with_products
from .retinaface import MobileRetinaFace
from .second_look import SecondLook, looked_at_again
from .types import Detection

#: Least confidence of what is reported: below it lies all manner of things, and hardly a face.
FLOOR = 0.05
Backbone = Literal["mobile0.25", "resnet50"]

#: Mean of blue, green and red that the networks were trained to have subtracted, of 255.
_BGR_MEAN = (104.0, 117.0, 123.0)
#: The next coarser look at a picture is this much smaller, down to about _COARSEST px.
_STEP, _COARSEST = 2.5, 384
#: A picture without any face of this score is looked at again, so much smaller than at its coarsest look: a face that
#: is blurred, noisy or blocky all over looks like one from afar. Sharp animals, clocks and wardrobes do, too; so only
#: what is blurred counts there.
_NOBODY, _FROM_AFAR = 0.9, (0.5, 0.25)
#: A face wider than this, at some look, is left to the next coarser one: the largest anchor has 512 px, and beyond
#: 700 px a face is found twice.
_WIDEST = 400.0
#: A face of at least so many pixels at a coarser look is seen there too, ...
_SEEN = 32.0
#: ... with at least this score, in a box that overlaps by this (intersection over union).
_CONFIRMED, _SAME = 0.3, 0.3
#: From this score on a face is looked at again, where the weights bring what it takes. Below lies little that anybody
#: would ask for, and much: ten times as many.
_DOUBTFUL = 0.3
_SECOND_LOOK = "second_look."
#: What is no face by the second look keeps this much of its score: below every usual threshold, yet to be had by who
#: asks for all that there is, as of faces that are turned so far that their landmarks are not where they belong.
_DENIED = 0.25
#: Candidates of one look before duplicates are taken out; more would only cost time.
_MOST = 5000


def _resnet() -> nn.Module:
    network: nn.Module = library_class("facexlib.detection.retinaface", "RetinaFace")(
        network_name="resnet50", device=torch.device("meta")
    )
    return network


_NETWORKS = {"mobile0.25": MobileRetinaFace, "resnet50": _resnet}


class RetinaFaceDetector(nn.Module):
    """A detector of faces with five landmarks; see `contracts.Detector` for what it guarantees.

    A picture is looked at in one to three sizes: fine for small faces, coarse for those that fill it, and for a second
    opinion about the others. Weights that hold a `SecondLook` as well, as those that ship do, have it judge each face;
    and with them a picture that seems to show nobody is looked at from afar, for faces that are blurred all over.
    state_dict: facexlib's names, and those of the second look after `second_look.`. backbone: None reads it off the
    weights. floor: least confidence of what is reported. nms: boxes that overlap more than this (intersection over
    union) are one face. longest_side: at which pictures are wanted. Raises WeightsError where the weights do not fit,
    for a ResNet-50 MissingPackageError or DeviceError where facexlib or what it stands on does not load.
    """

    def __init__(
        self,
        state_dict: Mapping[str, Tensor],
        backbone: Backbone | None = None,
        *,
        floor: float = FLOOR,
        nms: float = 0.4,
        longest_side: int = 1600,
    ) -> None:
        super().__init__()
        self.backbone = backbone or backbone_of(state_dict)
        if self.backbone not in get_args(Backbone):
            raise WeightsError(f"the backbone is {backbone!r}; expected one of {', '.join(get_args(Backbone))}")
        self.floor, self.nms, self.longest_side = floor, nms, longest_side
        again = {k.removeprefix(_SECOND_LOOK): v for k, v in state_dict.items() if k.startswith(_SECOND_LOOK)}
        own = {k: v for k, v in state_dict.items() if not k.startswith(_SECOND_LOOK)}
        built = build(f"RetinaFace {self.backbone}", _NETWORKS[self.backbone], own)
        folded = with_products(fold_batch_norms(built))
        self.network = convert_conv2d_weight_memory_format(folded, torch.channels_last)
        self.second_look = fold_batch_norms(build("a second look", SecondLook, again)) if again else None

    def forward(self, images: Tensor) -> list[list[Detection]]:
        """For each of `images` (B, 3, H, W) RGB in [0, 1] its faces, best score first, in its pixels."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise InputError(
                f"the detector was given {images.dtype} of shape {tuple(images.shape)}; expected floats (B, 3, H, W)"
            )
        if images.device.type == "cpu" and len(images) > 1:
            # One by one, side by side: cores that share a picture wait more for each other than those that do not.
            each, lanes = [image[None] for image in images], lanes_on(images.device, len(images))
            return [found for one in side_by_side(self._found, each, lanes) for found in one]
        return self._found(images)

    def _found(self, images: Tensor) -> list[list[Detection]]:
        sizes = _looks(images.shape[-2:])
        found = self._found_at(images, sizes)
        for smaller in _FROM_AFAR if self.second_look is not None else ():
            nobody = [index for index, faces in enumerate(found) if not faces or faces[0].score < _NOBODY]
            if nobody:
                height, width = (max(1, round(side * smaller)) for side in sizes[-1][:2])
                afar = self._found_at(images[nobody], [(height, width, True)])
                for index, faces in zip(nobody, afar, strict=True):
                    blurred = [face for face in faces if is_blurred(images[index], face.box)]
                    found[index] = self._together(found[index], blurred)
        return found

    def _found_at(self, images: Tensor, sizes: Sequence[tuple[int, int, bool]]) -> list[list[Detection]]:
        looks, ratios = [self._look(images, *size) for size in sizes], [size[1] / images.shape[-1] for size in sizes]
        found: list[list[Detection]] = []
        for index in range(len(images)):
            boxes, landmarks, scores = _confirmed([look[index] for look in looks], ratios)
            kept = self._read_again(images[index], boxes, landmarks, distinct(boxes, scores, self.nms))
            kept = self._judged(images[index], boxes, landmarks, kept)
            found.append(
                [
                    Detection(box=boxes[i], landmarks=landmarks[i], score=score)
                    for i, score in kept
                    if score >= self.floor
                ]
            )
        return found

    def _read_again(
        self, image: Tensor, boxes: Tensor, landmarks: Tensor, kept: list[tuple[int, float]]
    ) -> list[tuple[int, float]]:
        """Indices and scores of `kept`, best first, blurred faces read anew; their `boxes` and `landmarks` are written.
        Two that turn out to be one are one.
        """

        def look(crops: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
            return self._look(crops, crops.shape[-2], crops.shape[-1], coarsest=True)

        places, scores = [index for index, _ in kept], [score for _, score in kept]
        anew = False
        for turn, (index, score) in enumerate(kept):
            if score >= _DOUBTFUL and is_blurred(image, boxes[index]):
                anew = True
                boxes[index], landmarks[index], scores[turn] = read_smaller(
                    look, image, boxes[index], landmarks[index], score
                )
        if not anew:
            return kept
        return [(places[turn], score) for turn, score in distinct(boxes[places], torch.tensor(scores), self.nms)]

    def _together(self, some: list[Detection], others: list[Detection]) -> list[Detection]:
        """Both, best score first, each face once."""
        if not others:
            return some
        faces = some + others
        boxes, scores = torch.stack([face.box for face in faces]), torch.tensor([face.score for face in faces])
        return [replace(faces[i], score=score) for i, score in distinct(boxes, scores, self.nms)]

    def _judged(
        self, image: Tensor, boxes: Tensor, landmarks: Tensor, kept: list[tuple[int, float]]
    ) -> list[tuple[int, float]]:
        """Indices and scores after the second look, best first."""
        again = [entry for entry in kept if entry[1] >= _DOUBTFUL]
        if not again or not isinstance(self.second_look, SecondLook):
            return kept
        index = torch.tensor([entry[0] for entry in again])
        scores = torch.tensor([entry[1] for entry in again])
        second = looked_at_again(self.second_look, image, boxes[index], landmarks[index], scores)
        scores = torch.maximum(second, _DENIED * scores)
        judged = list(zip(index.tolist(), scores.tolist(), strict=True)) + kept[len(again) :]
        return sorted(judged, key=lambda entry: -entry[1])

    def _look(self, images: Tensor, height: int, width: int, coarsest: bool) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Boxes (K, 4), landmarks (K, 5, 2) and scores (K,) of each image, on the CPU, in the images' own pixels."""
        parameter = next(self.network.parameters())
        x = images.to(parameter)
        if (height, width) != tuple(images.shape[-2:]):
            x = F.interpolate(x, (height, width), mode="bilinear", antialias=True, align_corners=False)
        with torch.no_grad():
            x = x.flip(1) * 255 - x.new_tensor(_BGR_MEAN)[:, None, None]
            offsets, scores, points = self.network(x.contiguous(memory_format=torch.channels_last))
        offsets, scores, points = offsets.float().cpu(), scores[..., 1].float().cpu(), points.float().cpu()
        anchor = anchors(height, width)
        ratio = torch.tensor([images.shape[-1] / width, images.shape[-2] / height])
        found = []
        for index in range(len(images)):
            order = (scores[index] >= self.floor).nonzero()[:, 0]
            order = order[scores[index, order].argsort(descending=True, stable=True)][:_MOST]
            boxes = decode_boxes(offsets[index, order], anchor[order])
            marks = decode_landmarks(points[index, order], anchor[order])
            score = scores[index, order]
            usable = torch.isfinite(boxes).all(1) & torch.isfinite(marks).all(-1).all(-1)
            usable &= (boxes[:, 2:] > boxes[:, :2]).all(1)
            if not coarsest:
                usable &= (boxes[:, 2:] - boxes[:, :2]).amax(1) <= _WIDEST
            boxes, marks, score = boxes[usable], marks[usable], score[usable]
            kept = strongest(boxes, score, self.nms)
            boxes = ((boxes[kept].view(-1, 2, 2) + 0.5) * ratio - 0.5).view(-1, 4)
            found.append((boxes, (marks[kept] + 0.5) * ratio - 0.5, score[kept]))
        return found


def _confirmed(
    looks: Sequence[tuple[Tensor, Tensor, Tensor]], ratios: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, landmarks and scores of all looks at one image, finest first. A face that is large enough for the next
    coarser look to see it is believed no more than there, where that sees none: parts of faces look like faces.

    ratios: each look's size over the image's.
    """
    scores = [looks[-1][2]]
    for (boxes, _, score), (others, *_), ratio in zip(looks[-2::-1], looks[:0:-1], ratios[:0:-1], strict=True):
        same = overlaps(boxes, others) > _SAME
        seen = (same * scores[0]).amax(1) if len(others) else torch.zeros_like(score)
        doubted = ((boxes[:, 2:] - boxes[:, :2]).amin(1) * ratio >= _SEEN) & (seen < _CONFIRMED)
        scores.insert(0, torch.where(doubted, torch.minimum(score, seen), score))
    return torch.cat([look[0] for look in looks]), torch.cat([look[1] for look in looks]), torch.cat(scores)


def backbone_of(state_dict: Mapping[str, Tensor]) -> Backbone:
    """The backbone that RetinaFace's weights are for, by their keys. Raises WeightsError where they are not its."""
    keys = {key.removeprefix("module.") for key in state_dict}
    if "body.layer4.0.conv1.weight" in keys:
        return "resnet50"
    if "body.stage1.0.0.weight" in keys:
        return "mobile0.25"
    raise WeightsError(
        f"the weights are not RetinaFace's: no key of a {' or '.join(get_args(Backbone))} backbone among {len(keys)}"
    )


def _looks(size: tuple[int, ...]) -> list[tuple[int, int, bool]]:
    """Height, width, and whether it is the coarsest, of each size at which a picture (height, width) is looked at."""
    longest = max(size)
    sides = [longest]
    while sides[-1] > _STEP / 2 * _COARSEST:
        sides.append(max(round(sides[-1] / _STEP), _COARSEST))
    return [
        (max(1, round(size[0] * side / longest)), max(1, round(size[1] * side / longest)), side == sides[-1])
        for side in sides
    ]
