"""How many bits the context network's own logits say that a picture's indices hold.

Real files are compared with this: the difference is what classes, tables, range coder and container
cost. Floats are fine here, since nothing is coded.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from ..codec.engine import Engine
from ..codec.inference.integer_network import LOGIT_ONE
from ..codec.networks.context import exact, features, logits, trunk
from ..codec.quantization.dead_zone import Indices, at_depths


def cost(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of an event whose counter-event has this logit."""
    return np.logaddexp(0, logit) / math.log(2)


def code_length(machine: Engine, indices: Indices) -> NDArray[np.float64]:
    """(K,) bits of all layers up to each level. indices: at the last level, as a file has them."""
    table, model_weights = machine.table, machine.model_weights
    weights = model_weights.context.map(torch.from_numpy)
    reach, logs = torch.from_numpy(model_weights.reach), torch.from_numpy(model_weights.logs)
    total = np.zeros(machine.table.levels)
    for coding_pass, level in enumerate(table.pass_level):
        before, after = (
            table.pass_depths[coding_pass].astype(int),
            table.pass_depths[coding_pass + 1].astype(int),
        )
        parent, child = (
            at_depths(indices, table, table.pass_depths[i]) for i in (coding_pass, coding_pass + 1)
        )
        with exact():
            now, depth = torch.from_numpy(parent).float(), torch.from_numpy(before).float()
            seen = features(now[None], depth[None], reach, logs)
            which = torch.tensor([coding_pass])
            out = logits(weights, trunk(weights, seen, which), which)[0]
        significance, sign, refinement = (v.double().numpy() / LOGIT_ONE for v in out.chunk(3))
        changed = (after > before)[:, None, None]
        leaving, split = changed & (parent == 0), changed & (parent != 0)
        alive, first = leaving & (child != 0), (before < 0)[:, None, None]
        outer, escape = np.abs(child) & 1, np.maximum(np.abs(child) - 1, 0)
        total[level - 1] += (
            cost(np.where(child == 0, -significance, significance))[leaving].sum()
            + cost(np.where(child > 0, -sign, sign))[alive].sum()
            + cost(np.where(outer == 1, refinement, -refinement))[split].sum()
            + (escape * cost(refinement) + cost(-refinement))[alive & first].sum()
        )
    return np.cumsum(total)
