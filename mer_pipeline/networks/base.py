"""What every network is: a torch module that is shown one view of a clip and gives logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor, nn

from mer_pipeline.networks.explain import Explanation, Map, MapSource, evidence, recorded_maps, recorded_outputs
from mer_pipeline.networks.heads import HeadOutput
from mer_pipeline.networks.perturb import moves
from mer_pipeline.networks.prior import Prior

ViewName = Literal["pair", "sequence", "flow", "flow_sequence"]
VIEW_NAMES: tuple[ViewName, ...] = get_args(ViewName)


class Output(NamedTuple):
    """What a forward pass gives; a part that a network does not have is None."""

    logits: Tensor  # (B, classes)
    au_logits: Tensor | None = None  # (B, 21): the network's own estimate of the Action Units
    own_loss: Tensor | None = None  # (): what the network asks of itself besides labels and AUs, weights included
    branches: tuple[Tensor, Tensor] | None = None  # logits of features and of AUs alone, while training: see `heads`

    @classmethod
    def of(cls, answer: HeadOutput, au_logits: Tensor | None) -> Output:
        """What a head answered, and the estimate of the Action Units."""
        return cls(answer.logits, au_logits, None, answer.branches)

    def beside(self, prior: Tensor) -> Output:
        """With the answer of a prior added, (B, classes): the network is taught what it lacks."""
        branches = None if self.branches is None else (self.branches[0] + prior, self.branches[1])
        return self._replace(logits=self.logits + prior, branches=branches)


def named_tensors(view: ViewName, images: Tensor) -> dict[str, Tensor]:
    """Frames of a view (B, F, C, size, size) as the tensors that networks name."""
    if view == "pair":
        return {"onset": images[:, 0], "apex": images[:, -1]}
    return {view: images[:, 0] if view == "flow" else images}


def view_of(inputs: tuple[str, ...]) -> ViewName:
    """The view that the names of a network's tensors belong to."""
    return next((view for view in VIEW_NAMES if view in inputs), "pair")


class Network(nn.Module):
    """A network: it takes one of four views of a clip, and Action Units where it `takes_aus`.

    The tensors of a view, all float, by their names:

    - `pair`: `onset` and `apex`, (B, 3, size, size) RGB, normalised;
    - `sequence`: (B, T, 1, size, size) grey from onset to offset, 0..1;
    - `flow`: (B, 3, size, size) u, v and strain from onset to apex, in hundredths of the side and of 1;
    - `flow_sequence`: (B, T, 3, size, size) the same from the onset to each of T frames, the onset itself first.

    `aus`: (B, 21) float, 0/1 or probabilities. `aus_known`: (B,) bool, False where the network's own estimate shall
    replace `aus`.

    A subclass sets `view`, and `least_px` and `step_px` where not every size will do. Its constructor takes `classes`
    and `size`, and options as keywords with defaults that JSON can hold; its `forward` takes the tensors by name,
    begins with `check` and returns an `Output`.

    Attributes:
        view: What it is shown.
        size: Side of the pictures, in pixels.
        frames: T of the clips it is meant for; 0 where its view is not a sequence.
        takes_aus: Whether Action Units enter its decision.
        prior: What answers beside it, if anything does; see `build`.
        least_px, step_px: The sizes that it can be built for: multiples of `step_px`, from `least_px`.
    """

    view: ViewName
    least_px: ClassVar[int] = 1
    step_px: ClassVar[int] = 1
    # Set by the constructor: a default here would hide the modules.
    action_units: nn.Module | None
    prior: Prior | None

    def __init__(self, size: int, *, frames: int = 0, takes_aus: bool = False) -> None:
        """Check what the network is built for.

        Raises:
            ValueError: An impossible size, or fewer than 2 frames of a sequence.
        """
        super().__init__()
        if size < self.least_px:
            raise ValueError(f"size is {size}: give at least {self.least_px}")
        if size % self.step_px:
            raise ValueError(f"size is {size}: give a multiple of {self.step_px}")
        if self.view.endswith("sequence") and frames < 2:
            raise ValueError(f"frames is {frames}: give at least 2")
        self.size, self.frames, self.takes_aus = size, frames, takes_aus
        self.action_units = self.prior = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that `forward` takes, in its order."""
        pictures = ("onset", "apex") if self.view == "pair" else (self.view,)
        return (*pictures, "aus", "aus_known") if self.takes_aus else pictures

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """Parts whose maps, (B, C, h, w) or (B, C, T, h, w), show where the evidence for a class lies, by name."""
        return {}

    @property
    def explains(self) -> bool:
        """Whether `explain` finds anything to show."""
        return bool(self.evidence_layers) or any(isinstance(part, MapSource) for part in self.modules())

    def run(self, batch: Mapping[str, Tensor]) -> Output:
        """Give the network the tensors of a batch that it takes; one that the batch lacks has the network's default."""
        output = cast(Output, self(**{name: batch[name] for name in self.inputs if name in batch}))
        return output if self.prior is None else output.beside(self.prior(batch[self.view]))

    def explain(self, batch: Mapping[str, Tensor]) -> Explanation:
        """What the network's parts attended to in one clip, and where the evidence lies; call `eval()` first.

        Args:
            batch: What it takes, with one clip.

        Returns:
            Maps, each with how far the answer hangs on what it marks (see `perturb.moves`).
        """
        if not self.explains:
            return Explanation()
        with torch.enable_grad(), recorded_maps(self) as maps, recorded_outputs(self.evidence_layers) as layers:
            logits = self.run(batch).logits
            found = [*maps, *evidence(logits[0].max(), layers)]
        shown = {name: batch[name] for name in self.inputs if name in batch}
        with torch.no_grad():
            return Explanation(tuple(replace(one, moves=self._moves(shown, one)) for one in found))

    def _moves(self, batch: Mapping[str, Tensor], seen: Map) -> float:
        return moves(lambda shown: self.run(shown).logits.float(), batch, self.size, seen.cells)

    def measure(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002 - a subclass takes it
        """What can be scored of clips without a label, by name, (B,) each; call `eval()` first."""
        return {}

    def check(self, **pictures: Tensor) -> None:
        """Check the shapes of the tensors of the view.

        Raises:
            ValueError: One is not (B, channels, size, size), or of a sequence (B, T, channels, size, size) with T >= 2.
        """
        sequence = self.view.endswith("sequence")
        for name, images in pictures.items():
            shape = tuple(images.shape)
            if sequence and (images.ndim != 5 or shape[1] < 2):
                raise ValueError(f"{name} has shape {shape}, expected (B, T, channels, S, S) with T from 2")
            if images.ndim != 4 + sequence or shape[-2:] != (self.size, self.size):
                raise ValueError(
                    f"{name} has shape {shape}, but the network was built for size {self.size}: "
                    f"give images of {self.size}x{self.size} or build it with size={shape[-2]}"
                )

    def known_aus(
        self, motion: Tensor, aus: Tensor | None, aus_known: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """The Action Units for the classifier and the logits of their estimate, by `action_units`; None without it.

        Args:
            motion: (B, channels, h, w), from which they are estimated.
            aus: See `ActionUnitInput`.
            aus_known: See `ActionUnitInput`.
        """
        if self.action_units is None:
            return None, None
        return cast(tuple[Tensor, Tensor], self.action_units(motion, aus, aus_known))
