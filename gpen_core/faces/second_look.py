"""A second look at what a detector took for a face: its aligned crop, judged by a small network of its own.

Hands, pearls, sleeves and wheels look like faces to a detector, which sees all of a picture at once. Straightened by
its five landmarks, a face has its eyes, nose and mouth where they belong, and little else has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .geometry import fit_similarity, template
from .retinaface import BLOCKS, active, convolution, separable
from .warp import crop_faces

SIDE = 64
#: Where the landmarks lie in the crop: FFHQ's without its rim, so that little but the head is seen.
LANDMARKS = template("ffhq", 80) - 8
#: Landmarks that span less than this share of the face's box are no face's.
_LEAST_SPAN = 0.05
#: A doubtful face is believed after all where both opinions' logits (the detector's no more than _DETECTOR, which is
#: its usual threshold) sum to 2.2 above this.
_TOGETHER, _DETECTOR = 3.25, 2.2
#: ImageNet's mean and deviation of red, green and blue.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SecondLook(nn.Module):
    """Aligned crops (N, 3, 64, 64) RGB in [0, 1] → how surely each is a face, (N,) logits.

    The first two stages of the detector's MobileNet, and one weight a place for what they see there.
    """

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(*active(*convolution(3, 8, stride=2)))
        self.stage1 = nn.Sequential(first, *(separable(*block) for block in BLOCKS[0]))
        self.stage2 = nn.Sequential(*(separable(*block) for block in BLOCKS[1]))
        self.narrow = nn.Sequential(*active(*convolution(BLOCKS[1][-1][1], 32, 1)))
        self.judge = nn.Linear(32 * (SIDE // 16) ** 2, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """(N,)."""
        mean, deviation = (crops.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
        seen = self.stage2(self.stage1((crops - mean) / deviation))
        logits: Tensor = self.judge(self.narrow(seen).flatten(1))
        return logits[:, 0]


def looked_at_again(second_look: SecondLook, image: Tensor, boxes: Tensor, landmarks: Tensor, scores: Tensor) -> Tensor:
    """Scores (K,), on the CPU, of faces (boxes (K, 4), landmarks (K, 5, 2)) of `image` (3, H, W) RGB in [0, 1] that had
    `scores` (K,): the lower of both opinions, or what they are worth together where the second look is very sure."""
    logits = torch.full_like(scores, -torch.inf)
    span = (landmarks.amax(1) - landmarks.amin(1)).amin(1)
    usable = span > _LEAST_SPAN * (boxes[:, 2:] - boxes[:, :2]).amin(1)
    if bool(usable.any()):
        crops = crop_faces(image, fit_similarity(landmarks[usable], LANDMARKS), SIDE, "reflect")
        with torch.no_grad():
            logits[usable] = second_look(crops.to(next(second_look.parameters()))).float().cpu()
    together = torch.logit(scores, 1e-6).clamp_max(_DETECTOR) + logits - _TOGETHER
    return torch.maximum(torch.minimum(scores, logits.sigmoid()), together.sigmoid())
