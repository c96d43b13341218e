"""A reader that learnt from other clips, beside a network, which learns what its answer lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

# Cells a side of each perceptron of the reader that ships, and their hidden units; a test holds these against it.
MEMBERS = (4, 7, 14, 4, 7, 14)
UNITS, GROUPS, OUTPUTS = 128, 4, 25
_SIDE = 28
_PARTS = {"hidden.weight": "hidden_weight", "hidden.bias": "hidden_bias",
          "out.weight": "out_weight", "out.bias": "out_bias"}  # fmt: skip


class Prior(nn.Module):
    """Perceptrons over coarse cells of flow, as `reader.Reader` has them, with groups of emotions dealt to classes.

    All that it holds are buffers: they are kept with the weights of the network and never trained.

    Args:
        classes: Of the network.
        size: Of the flow images, in pixels.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(_SIDE)
        for at, cells in enumerate(MEMBERS):
            shapes = (UNITS, 2 * cells**2), (UNITS,), (OUTPUTS, UNITS), (OUTPUTS,)
            for name, shape in zip(_PARTS.values(), shapes, strict=True):
                self.register_buffer(f"{name}_{at}", torch.zeros(shape))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("share", torch.full((classes, GROUPS), 1 / GROUPS))
        self.register_buffer("window", torch.tensor([0, 0, size]))
        self._window = 0, 0, size
        self.register_load_state_dict_post_hook(Prior._read_window)  # type: ignore[no-untyped-call]

    def _read_window(self, *_: object) -> None:
        """Keep the numbers on the host: a GPU that is asked for them in every step is waited for."""
        top, left, side = self.get_buffer("window").tolist()
        self._window = top, left, side

    def start(
        self,
        members: Sequence[Mapping[str, Tensor]],
        temperature: float,
        share: Tensor,
        window: tuple[int, int, int],
    ) -> None:
        """Take in a reader.

        Args:
            members: The tensors of each perceptron.
            temperature: That the logits of its groups are divided by.
            share: (classes, groups) the part of each group's probability that a class has.
            window: Top, left and side of the part of the image that it reads, in pixels.
        """
        own = dict(self.named_buffers())
        for at, tensors in enumerate(members):
            for part, name in _PARTS.items():
                own[f"{name}_{at}"].copy_(tensors[part])
        own["temperature"].fill_(temperature)
        own["share"].copy_(share)
        own["window"].copy_(torch.tensor(window))
        self._read_window()

    def forward(self, flow: Tensor) -> Tensor:
        """(B, 2 or more, size, size) u and v first -> (B, classes) logarithms of probabilities."""
        top, left, side = self._window
        fields = flow[:, :2, top : top + side, left : left + side].float()
        fields = _normalised(fields if side == _SIDE else self.pool(fields))
        turned = fields.flip(-1) * fields.new_tensor([-1.0, 1.0])[:, None, None]
        answers = [self._member(at, each) for at in range(len(MEMBERS)) for each in (fields, turned)]
        logits = torch.stack(answers).mean(0)
        groups = (logits[:, :GROUPS] / self.get_buffer("temperature")).softmax(1)
        return (groups @ self.get_buffer("share").T).clamp(min=1e-6).log()

    def _member(self, at: int, fields: Tensor) -> Tensor:
        cells = MEMBERS[at]
        part = _SIDE // cells
        means = fields.unflatten(-1, (cells, part)).unflatten(-3, (cells, part)).mean((-3, -1))
        means = means / (means.flatten(2).std(-1, unbiased=False)[..., None, None] + 1e-6)
        weight, bias, out_weight, out_bias = (self.get_buffer(f"{name}_{at}") for name in _PARTS.values())
        hidden: Tensor = (means.flatten(1) @ weight.T + bias).relu()
        return hidden @ out_weight.T + out_bias


def _normalised(fields: Tensor) -> Tensor:
    """Each channel less its median, over its standard deviation; see `reader.features.normalised`."""
    flat = fields.flatten(2)
    ordered, middle = flat.sort(-1).values, flat.shape[-1] // 2
    still = flat - (ordered[..., middle - 1] + ordered[..., middle])[..., None] / 2
    spread: Tensor = still.std(-1, unbiased=False, keepdim=True) + 1e-6
    return (still / spread).reshape(fields.shape)
