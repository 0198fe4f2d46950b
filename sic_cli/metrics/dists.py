"""Structure and texture similarity after DISTS (Ding and others 2020), on AlexNet: `dists-alex`.

Of every map, three colours and 1,152 of AlexNet's features, only three numbers of the whole picture
count: how alike its mean is in both (texture), and its variances and their covariance (structure). A
texture that was drawn anew therefore costs less than a blur. No loss of sic compares whole maps so.

Published DISTS figures do not compare with these: they use VGG16 with its poolings replaced, and a
weight for every map that was learned from people's judgements. Here all maps and both terms weigh the
same, and AlexNet is as LPIPS-Alex has it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ModelError

CONVOLUTIONS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
"""(number, stride, padding) as torchvision's AlexNet has them; pooling goes before the second and third."""
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours in 0..1."""
SMALL = 1e-6
"""Both constants of DISTS: what keeps maps that are 0 everywhere alike."""


class Dists:
    """The distance. features: state dict with `features.N.weight` and `features.N.bias`."""

    def __init__(self, features: dict[str, Tensor]) -> None:
        try:
            self.layers = [
                (features[f"features.{n}.weight"], features[f"features.{n}.bias"], stride, padding)
                for n, stride, padding in CONVOLUTIONS
            ]
        except KeyError as error:
            raise ModelError(f"not the weights of AlexNet: {error} is missing") from None

    def features(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """The picture uint8 (H, W, 3) in 0..1 and five activations, each (C, positions)."""
        picture = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
        mean, spread = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, SPREAD))
        x, out = (picture - mean) / spread, [picture[0].flatten(1)]
        with torch.inference_mode():
            for index, (weight, bias, stride, padding) in enumerate(self.layers):
                if index in (1, 2):
                    x = F.max_pool2d(x, 3, 2)
                x = F.relu(F.conv2d(x, weight, bias, stride, padding))
                out.append(x[0].flatten(1))
        return out

    def distance(self, a: list[Tensor], b: list[Tensor]) -> float:
        """Distance of two pictures by their features; 0 if equal, about 1 if nothing is alike."""
        with torch.inference_mode():
            terms = torch.cat([_alike(p, q) for p, q in zip(a, b, strict=True)])
            return max(0.0, 1 - float(terms.double().mean()))


def _alike(p: Tensor, q: Tensor) -> Tensor:
    """Texture and structure of each map (C, positions), one after the other: (2 C,), 1 if equal."""
    mean_p, mean_q = p.mean(1, keepdim=True), q.mean(1, keepdim=True)
    far_p, far_q = p - mean_p, q - mean_q
    texture = (2 * mean_p * mean_q + SMALL) / (mean_p**2 + mean_q**2 + SMALL)
    both = 2 * (far_p * far_q).mean(1) + SMALL
    structure = both / (far_p.square().mean(1) + far_q.square().mean(1) + SMALL)
    return torch.cat([texture[:, 0], structure])
