"""What every network takes and gives."""

from typing import NamedTuple, Protocol

from torch import Tensor

AU_COUNT = 21  # length of the Action Unit vector: 1,2,4,5,6,7,9,10,12,14,15,16,17,18,20,23,24,25,26,28,45


class Output(NamedTuple):
    """What a forward pass gives; a part that a network does not have is None."""

    logits: Tensor  # (B, classes)
    au_logits: Tensor | None = None  # (B, 21): the network's own estimate of the Action Units
    own_loss: Tensor | None = None  # (): what the network asks of itself besides labels and AUs, weights included


class Network(Protocol):
    """A network names the tensors of a batch that its forward takes as keywords.

    A network looks at one of four views of a clip, all float:

    - `onset`, `apex`: (B, 3, size, size) RGB, normalised;
    - `sequence`: (B, T, 1, size, size) grey from onset to offset, 0..1;
    - `flow`: (B, 3, size, size) u, v and strain from onset to apex, in hundredths of the side and of 1;
    - `flow_sequence`: (B, T, 3, size, size) the same from the onset to each of T frames, the onset itself first.

    `aus`: (B, 21) float, 0/1 or probabilities. `aus_known`: (B,) bool, False where the network's own estimate shall
    replace `aus`.
    """

    inputs: tuple[str, ...]

    def __call__(self, **batch: Tensor) -> Output:
        """Run the network."""
        ...


def check_square(name: str, images: Tensor, size: int) -> None:
    """Raise ValueError unless `images` is (B, channels, size, size)."""
    height, width = images.shape[-2:]
    if images.ndim != 4 or (height, width) != (size, size):
        raise ValueError(
            f"{name} has shape {tuple(images.shape)}, but the network was built for size {size}: "
            f"give images of {size}x{size} or build it with size={height}"
        )


def check_sequence(name: str, images: Tensor, size: int) -> None:
    """Raise ValueError unless `images` is (B, T, channels, size, size) with T from 2."""
    if images.ndim != 5 or images.shape[1] < 2:
        raise ValueError(f"{name} has shape {tuple(images.shape)}, expected (B, T, channels, S, S) with T from 2")
    check_square(name, images[:, 0], size)
