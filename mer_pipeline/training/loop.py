"""Training one network on the clips of one fold, and testing it on the held-out clips after every epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from mer_pipeline import networks
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.metrics import uf1
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.networks import Network, named_tensors
from mer_pipeline.recipe import Recipe
from mer_pipeline.runs.results import History
from mer_pipeline.training.checkpoint import TrainingState
from mer_pipeline.training.prior import start_prior
from mer_pipeline.training.start import start_weights
from mer_pipeline.training.steps import Objective, autocast, inputs, placed, steps

# Test clips a step; more would only need more memory.
_EVALUATION_BATCH = 64
# A unit of one clip in a hundred must not outweigh all the others.
_MOST_AU_WEIGHT = 10.0
# A fold that takes longer than this is kept on disk in between, so that an interruption costs no more than that.
_KEEP_EVERY_S = 60.0


@dataclass(frozen=True)
class Trained:
    """A trained network and what it predicts of the test clips.

    Attributes:
        network: After the last epoch, or after the chosen one.
        last: AU source -> (test clips, classes) logits after the last epoch.
        chosen: The same after the epoch that was chosen before the training began; empty where none was.
        spotted: Row -> (classes,) logits of the network with spotted key frames, of the test clips that have them.
        oracle: The same after the epoch that scores best on the test clips, for the recipe's AU source alone; None
            where there were no test clips. Optimistic: epoch chosen on the test fold.
        history: What happened in each epoch.
        measured: What `Network.measure` finds of the test clips, by name.
        aus: (test clips, 21) probabilities of the Action Units by `network`; None where it estimates none.
    """

    network: Network
    last: dict[str, Tensor]
    chosen: dict[str, Tensor]
    oracle: Tensor | None
    history: History
    spotted: Mapping[int, Tensor]
    aus: Tensor | None = None
    measured: Mapping[str, Tensor] = field(default_factory=dict)


def train_network(
    clips: ClipSet,
    train: Sequence[int],
    test: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    on_epoch: Callable[[int, float], None],
    chosen_epoch: int | None = None,
    keep: Path | None = None,
) -> Trained:
    """Train on some clips; after every epoch test on others.

    Args:
        clips: All clips.
        train: Row numbers of the training clips.
        test: Row numbers of the test clips; may be empty.
        recipe: How.
        seed: Of weights, order and augmentation.
        device: Where.
        on_epoch: Called with the number of finished epochs and the loss of the last.
        chosen_epoch: An epoch, from 1, whose network is wanted instead of the last.
        keep: Where the state of a long training is kept on disk while it is under way; removed at its end.
    """
    session = _Session(clips, train, test, recipe, seed=seed, device=device, chosen_epoch=chosen_epoch)
    done, kept = session.resume(keep), time.monotonic()
    for epoch in range(1, done + 1):
        on_epoch(epoch, session.history.loss[epoch - 1])
    for epoch in range(done + 1, recipe.epochs + 1):
        session.epoch(epoch)
        if keep is not None and time.monotonic() - kept > _KEEP_EVERY_S and epoch < recipe.epochs:
            session.keep(keep)
            kept = time.monotonic()
        on_epoch(epoch, session.history.loss[-1])
    if keep is not None:
        keep.unlink(missing_ok=True)
    return session.trained()


class _Session:
    """One training."""

    def __init__(
        self,
        clips: ClipSet,
        train: Sequence[int],
        test: Sequence[int],
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        chosen_epoch: int | None,
    ) -> None:
        torch.manual_seed(seed)
        self._clips, self._test, self._recipe, self._device = clips, list(test), recipe, device
        self._rows, self._chosen_epoch = torch.tensor(train), chosen_epoch
        network = networks.build(recipe.network, classes=len(clips.classes), size=clips.size, **recipe.network_options)
        start_prior(network, clips)
        start_weights(network, clips, recipe)
        au_weight = start_au_head(network, clips.aus[self._rows][clips.aus_known[self._rows]], recipe).to(device)
        weight = _class_weight(clips.labels[self._rows], len(clips.classes), recipe).to(device)
        self._objective = Objective(clips.at(device), recipe, weight, au_weight)
        network = placed(network, device)
        self._state = TrainingState(network, *_optimiser(network, recipe), torch.Generator().manual_seed(seed), device)
        self.history = History()
        self._oracle: Tensor | None = None
        self._chosen: dict[str, Tensor] = {}
        self._chosen_state: dict[str, Tensor] = {}

    def epoch(self, number: int) -> None:
        """Train for one epoch and test on the held-out clips."""
        state, losses = self._state, []
        state.network.train()
        for step in steps(self._rows, self._recipe, state.generator, self._device):
            loss = self._objective.loss(state.network, step)
            state.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            state.optimiser.step()
            losses.append(loss.detach())
        state.schedule.step()
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise MerError(
                f"the training diverged: in epoch {number} the loss is {mean}",
                where=self._recipe.model,
                fix=f"lower the learning rate: --set lr={self._recipe.lr / 10:g}",
            )
        self.history.loss.append(mean)
        self.history.theta_deg.append(networks.learned_angles_deg(state.network))
        if self._test:
            self._test_epoch()
        if number == self._chosen_epoch:
            self._chosen = self._predict_every_source()
            self._chosen_state = {name: value.clone() for name, value in state.network.state_dict().items()}

    def _test_epoch(self) -> None:
        logits = predict(self._state.network, self._clips, self._test, self._recipe.aus, self._device)
        truth, guess = self._clips.labels[self._test], logits.argmax(1)
        accuracy = float((guess == truth).float().mean())
        if accuracy > max(self.history.test_accuracy, default=-1.0):
            self._oracle = logits
        self.history.test_accuracy.append(accuracy)
        self.history.test_uf1.append(uf1(truth.numpy(), guess.numpy()))

    def _predict_every_source(self) -> dict[str, Tensor]:
        network = self._state.network
        if not self._test:
            return {}
        return {aus: predict(network, self._clips, self._test, aus, self._device) for aus in au_sources(network)}

    def keep(self, path: Path) -> None:
        """Write everything that the next epoch depends on."""
        tensors = {f"state.{name}": value for name, value in self._chosen_state.items()}
        tensors |= {f"chosen_logits.{name}": value for name, value in self._chosen.items()}
        if self._oracle is not None:
            tensors["oracle_logits."] = self._oracle
        self._state.save(path, self.history.as_json(), tensors)

    def resume(self, path: Path | None) -> int:
        """Go on from what `keep` wrote, if there is anything; the number of epochs that are done."""
        found = None if path is None else self._state.load(path)
        if found is None:
            return 0
        facts, tensors = found
        self.history = History.from_json(facts)
        # An older version kept probabilities, whose logarithms are logits of the same softmax.
        logs = {name: t.log() for name, t in tensors.items() if name.startswith(("oracle.", "chosen."))}
        tensors |= {name.replace(".", "_logits.", 1): value for name, value in logs.items()}
        self._oracle = tensors.get("oracle_logits.")
        for kind, part in (("state.", self._chosen_state), ("chosen_logits.", self._chosen)):
            part.update({name[len(kind) :]: value for name, value in tensors.items() if name.startswith(kind)})
        return len(self.history.loss)

    def trained(self) -> Trained:
        """What the training came to."""
        last, network = self._predict_every_source(), self._state.network
        if self._chosen_state:
            network.load_state_dict(self._chosen_state)
        aus = estimate_aus(network, self._clips, self._test, self._device)
        spotted, measured = self._predict_spotted(), measure(network, self._clips, self._test, self._device)
        return Trained(network, last, self._chosen, self._oracle, self.history, spotted, aus, measured)

    def _predict_spotted(self) -> dict[int, Tensor]:
        clips, known = self._clips, self._clips.spotted_known
        rows = [row for row in self._test if known is not None and known[row]]
        if clips.spotted is None or not rows:
            return {}
        shown = replace(clips, images=clips.spotted)
        logits = predict(self._state.network, shown, rows, self._recipe.aus, self._device)
        return dict(zip(rows, logits, strict=True))


def time_steps(
    clips: ClipSet, train: Sequence[int], recipe: Recipe, device: torch.device, steps: int = 2
) -> tuple[float, float]:
    """Seconds of a training step, and of testing one clip, after one step that warms up.

    Args:
        clips: All clips.
        train: Rows to take the batches from.
        recipe: How.
        device: Where.
        steps: How many are timed.
    """
    batch = list(train)[: recipe.batch]
    session = _Session(clips, batch, (), recipe, seed=recipe.seed, device=device, chosen_epoch=None)
    session.epoch(1)
    _wait(device)
    started = time.perf_counter()
    for number in range(2, steps + 2):
        session.epoch(number)
    _wait(device)
    trained = time.perf_counter()
    predict(session.trained().network, clips, batch[:_EVALUATION_BATCH], recipe.aus, device)
    return (trained - started) / steps, (time.perf_counter() - trained) / len(batch[:_EVALUATION_BATCH])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def au_sources(network: Network) -> tuple[str, ...]:
    """The AU sources that a network can be tested with; `unused` where it takes no AUs."""
    return ("predicted", "annotated", "none") if network.takes_aus else ("unused",)


def predict(network: Network, clips: ClipSet, rows: Sequence[int], aus: str, device: torch.device) -> Tensor:
    """Logits of some clips with one AU source; (rows, classes) float32 on the CPU."""
    return torch.cat([output.logits.float() for output in _outputs(network, clips, rows, aus, device)]).cpu()


def estimate_aus(network: Network, clips: ClipSet, rows: Sequence[int], device: torch.device) -> Tensor | None:
    """A network's own estimate of the Action Units of some clips, (rows, 21) probabilities; None where it has none."""
    if network.action_units is None or not rows:
        return None
    logits = [output.au_logits for output in _outputs(network, clips, rows, "predicted", device)]
    return torch.cat([each.float().sigmoid() for each in logits if each is not None]).cpu()


@torch.no_grad()
def _outputs(
    network: Network, clips: ClipSet, rows: Sequence[int], aus: str, device: torch.device
) -> Iterator[networks.Output]:
    network.eval()
    clips = clips.at(device)
    for batch in torch.tensor(rows).to(device).split(_EVALUATION_BATCH):
        known = clips.aus_known[batch]
        if aus != "annotated":
            known = torch.full_like(known, aus == "none")
        values = torch.zeros_like(clips.aus[batch]) if aus == "none" else clips.aus[batch]
        with autocast(device):
            yield network.run(inputs(clips, clips.tensor(batch, device), values, known))


def measure(network: Network, clips: ClipSet, rows: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """What `Network.measure` finds of some clips, by name; (rows,) each on the CPU."""
    network.eval()
    clips = clips.at(device)
    found: dict[str, list[Tensor]] = {}
    for batch in torch.tensor(rows).to(device).split(_EVALUATION_BATCH) if rows else ():
        shown = named_tensors(clips.view, clips.tensor(batch, device))
        for name, values in network.measure(shown).items():
            found.setdefault(name, []).append(values.float())
    return {name: torch.cat(parts).cpu() for name, parts in found.items()}


def start_au_head(network: Network, annotated: Tensor, recipe: Recipe) -> Tensor:
    """Start the estimate of Action Units at their base rates; weights of the present ones in its loss, (21,).

    Args:
        network: Which may have no such head.
        annotated: (clips, 21) of the training clips alone.
        recipe: How.
    """
    rates = (annotated.sum(0) + 0.5) / (len(annotated) + 1)
    odds = rates / (1 - rates)
    weight = odds.rsqrt().clamp(1, _MOST_AU_WEIGHT) if recipe.au_weights == "rare" else torch.ones_like(odds)
    head = next((part for part in network.modules() if isinstance(part, networks.ActionUnitHead)), None)
    if head is not None and recipe.au_start == "base-rates":
        head.start_at((weight * odds).log())
    return weight


def _optimiser(network: Network, recipe: Recipe) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    angles = networks.angle_parameters(network)
    turned = {id(parameter) for parameter in angles}
    others = [parameter for parameter in network.parameters() if id(parameter) not in turned]
    groups: list[dict[str, object]] = [{"params": others, "lr": recipe.lr, "weight_decay": recipe.weight_decay}]
    if angles:
        groups.append({"params": angles, "lr": recipe.angle_lr, "weight_decay": recipe.angle_weight_decay})
    kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    optimiser = kind(groups, fused=others[0].is_cuda)
    decay = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda epoch: recipe.lr_decay ** min(epoch, recipe.lr_decay_epochs)
    )
    return optimiser, decay


def _class_weight(labels: Tensor, classes: int, recipe: Recipe) -> Tensor:
    """Weights from the training clips alone; a class without clips weighs nothing."""
    if recipe.class_weights == "none":
        return torch.ones(classes)
    counts = torch.bincount(labels, minlength=classes).float()
    return torch.where(counts > 0, len(labels) / (int((counts > 0).sum()) * counts.clamp(min=1)), torch.zeros(classes))
