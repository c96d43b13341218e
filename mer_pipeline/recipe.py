"""A recipe: which network, with which options, trained how. The zoo keeps each as a short difference from defaults."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from mer_pipeline.errors import MerError, suggest
from mer_pipeline.reading import JsonObject, Option, parse_toml, read_text, unfit_option

if TYPE_CHECKING:  # torch takes seconds to import, and a table of recipes or a wrong key needs none
    from mer_pipeline.networks import Network, ViewName

# Side of the pictures for which parameters are counted where a recipe leaves it to the cache.
_USUAL_SIZE = 224
AUS = ("predicted", "annotated", "none")
_CHOICES = {
    "padding": ("border", "zeros"),
    "select": ("last", "inner", "oracle"),
    "class_weights": ("none", "balanced"),
    "aus": AUS,
    "optimiser": ("adamw", "adam"),
    "au_start": ("base-rates", "even"),
    "au_weights": ("rare", "none"),
    "prior": ("none", "shipped"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "size": (0, 1024),
    "frames": (2, 256),
    "epochs": (1, 100_000),
    "batch": (1, 100_000),
    "lr": (0, 10),
    "angle_lr": (0, 10),
    "weight_decay": (0, 100),
    "angle_weight_decay": (0, 100),
    "lr_decay": (0, 1),
    "lr_decay_epochs": (0, 100_000),
    "au_loss": (0, 1e6),
    "au_substitution": (0, 1),
    "flip": (0, 1),
    "rotation_deg": (0, 180),
    "shift": (0, 0.5),
    "seed": (0, 2**31),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes a training.

    Attributes:
        model: Name in the zoo, or of one's own file.
        source: The paper or release that it follows, in a few words.
        network: Name in `mer_pipeline.networks`.
        options: Options of the network that differ from its defaults.
        size: Pictures are resized to this side, in pixels; 0 leaves them as the cache has them.
        frames: Length of a sequence, for networks that look at one.
        epochs: How often every clip is seen; the last epoch counts.
        batch: Clips a step.
        optimiser: `adamw`, or `adam`, whose weight decay is part of the gradient.
        lr: Learning rate.
        angle_lr: Learning rate of orientation angles (radians).
        weight_decay: Of everything but angles.
        angle_weight_decay: Of angles; shrinks nothing but a vector, as those of the release are.
        lr_decay: The learning rate is multiplied by this after each of the first `lr_decay_epochs` epochs.
        lr_decay_epochs: See `lr_decay`.
        class_weights: `none`, or `balanced` for weights inverse to the class frequency in the training clips.
        au_loss: Weight of the Action Unit head's loss.
        au_start: What the Action Unit head estimates before it has learned: the `base-rates` of the training clips, or
            `even` odds.
        au_weights: `rare`, to weigh present Action Units by the square root of their odds against in the training
            clips, or `none`.
        au_substitution: Share of training clips whose annotated AUs are replaced by the head's own estimate.
        aus: AU source at test time: `predicted` by the head, `annotated` (a new clip has none), or `none`.
        prior: `shipped`, to add the answer of the model that ships to that of a network of flow, which then learns what
            it lacks; or `none`.
        start: A run folder or weights file whose weights a training begins with; empty for fresh ones.
        flip: Probability that a clip is mirrored.
        rotation_deg: Clips are turned by up to this angle, either way.
        shift: Clips are shifted by up to this share of their side, either way.
        padding: What comes in from outside: `border` repeats the edge, `zeros` is the mean colour.
        select: How the epoch is chosen where the command does not say; see `Plan`.
        seed: Of everything that is drawn at random.
    """

    model: str
    network: str
    source: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    size: int = 0
    frames: int = 8
    epochs: int = 99
    batch: int = 50
    optimiser: str = "adamw"
    lr: float = 8e-4
    angle_lr: float = 5e-3
    weight_decay: float = 0.6
    angle_weight_decay: float = 0.0
    lr_decay: float = 0.987
    lr_decay_epochs: int = 50
    class_weights: str = "none"
    au_loss: float = 1.0
    au_start: str = "base-rates"
    au_weights: str = "rare"
    au_substitution: float = 0.5
    aus: str = "predicted"
    prior: str = "none"
    start: str = ""
    flip: float = 0.5
    rotation_deg: float = 3.0
    shift: float = 15 / 224
    padding: str = "border"
    select: str = "last"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise MerError(f"{name} = {getattr(self, name)} is outside {low}..{high}", fix="correct the recipe")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise MerError(
                    f"{name} = {getattr(self, name)!r} is unknown", fix=f"choose one of {', '.join(allowed)}"
                )
        if problem := unfit_option(dict(self.options)):
            raise MerError(f"an option is {problem}", where=f"recipe {self.model}", fix="correct the recipe or --set")
        if "frames" in self.options:
            raise MerError(
                "frames are set for the whole recipe", where=f"recipe {self.model}", fix="write --set frames=N"
            )

    @property
    def network_options(self) -> dict[str, Option]:
        """What `networks.build` takes besides classes and size, every default written out.

        Raises:
            MerError: The network is unknown, or has no such option.
        """
        from mer_pipeline.networks import option_defaults

        with self._as_mer_error():
            known = option_defaults(self.network)
        for name in self.options:
            if name not in known:
                fix = suggest(name, known)
                raise MerError(f"{self.network} has no option {name!r}", where=f"recipe {self.model}", fix=fix)
        beside = {"prior": True} if self.prior == "shipped" else {}
        return {**known, **({"frames": self.frames} if "frames" in known else {}), **beside, **self.options}

    @property
    def view(self) -> ViewName:
        """What the network is shown."""
        return self._usual.view

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that the network takes."""
        return self._usual.inputs

    @functools.cached_property
    def _usual(self) -> Network:
        return self.outline()

    def outline(self, size: int | None = None, classes: int = 5) -> Network:
        """The network without its weights: nothing is allocated.

        Args:
            size: Of its pictures; None for that of the recipe, or 224 where the recipe leaves it to the cache.
            classes: Emotions.

        Raises:
            MerError: An unknown network or option, or an impossible value.
        """
        import torch

        from mer_pipeline.networks import build

        options = self.network_options
        with self._as_mer_error(), torch.device("meta"):
            return build(self.network, classes=classes, size=size or self.size or _USUAL_SIZE, **options)

    @contextmanager
    def _as_mer_error(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError) as error:
            raise MerError(
                str(error), where=f"recipe {self.model}", fix="see mer models and the model's card"
            ) from None

    def parameters(self) -> int:
        """How many parameters the network has with 5 classes."""
        return sum(parameter.numel() for parameter in self._usual.parameters())

    def as_json(self) -> JsonObject:
        """The recipe with every default written out, options of the network included."""
        return {**asdict(self), "options": self.network_options}


def recipe_defaults() -> dict[str, Option]:
    """The values of a recipe that states nothing, options of the network left out.

    >>> recipe_defaults()["epochs"]
    99
    """
    return {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}


def zoo() -> Path:
    """The folder of the zoo: inside the installed package, or `models/` of a source checkout."""
    packaged = Path(__file__).parent / "zoo"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "models"


def model_names() -> list[str]:
    """The models of the zoo, sorted."""
    return sorted(path.parent.name for path in zoo().glob("*/recipe.toml"))


@dataclass(frozen=True)
class ZooModel:
    """A row of `mer models`: name, cost with 5 classes, and where it comes from.

    Attributes:
        name: In the zoo.
        parameters, multiply_accumulates: As its recipe has them under `built`; the latter a clip.
        view: What it is shown.
        size: Side of its pictures in pixels.
        source: The paper or release that it follows.
        recipe: The file.
    """

    name: str
    parameters: int
    multiply_accumulates: int
    view: str
    size: int
    source: str
    recipe: str

    def as_json(self) -> JsonObject:
        """JSON values, as `mer models --json` prints them."""
        return asdict(self)


def zoo_table() -> list[ZooModel]:
    """Every model of the zoo.

    The costs are those written down in the recipes under `built`: counting them anew takes seconds of building.
    """
    rows = []
    for name in model_names():
        recipe, built = _read_recipe(name, {})
        cost, size = built or facts_of(recipe), recipe.size or _USUAL_SIZE
        rows.append(ZooModel(name, **cost, size=size, source=recipe.source, recipe=str(zoo() / name / "recipe.toml")))
    return rows


def facts_of(recipe: Recipe) -> JsonObject:
    """What a recipe's table `built` says: parameters, multiply-accumulates a clip, and view, for 5 classes."""
    from mer_pipeline.networks import multiply_accumulates

    cost = multiply_accumulates(recipe.outline())
    return {"parameters": recipe.parameters(), "multiply_accumulates": cost, "view": recipe.view}


def load_recipe(model: str, overrides: Mapping[str, Option] | None = None) -> Recipe:
    """Read a recipe of the zoo, or one's own, and change some of its values.

    Args:
        model: Name in the zoo, or a `.toml` file of one's own: values by key, of which `model` names the recipe of the
            zoo that they are a difference from; the recipe is called after the file.
        overrides: Values by key; `options.<name>` is an option of the network.

    Raises:
        MerError: Unknown model, unknown key, a value of the wrong kind, or one that the network cannot be built with.
    """
    recipe, _ = _read_recipe(model, overrides or {})
    recipe.parameters()
    return recipe


def _read_recipe(model: str, overrides: Mapping[str, Option]) -> tuple[Recipe, dict[str, Any]]:
    """A recipe whose network has not been tried, and its table `built`."""
    path = Path(model) if model.endswith(".toml") else _in_zoo(model)
    values, options, built = _tables(path)
    if model.endswith(".toml"):  # a user's own: a difference from one of the zoo, where it names one
        base, model = values.pop("model", None), path.stem
        if base is not None:
            beneath, options_beneath, _ = _tables(_in_zoo(str(base)))
            values, options, built = {**beneath, **values}, {**options_beneath, **options}, {}
    values = {"model": model, **values}
    for key, value in overrides.items():
        name = key.removeprefix("options.")
        (values if name == key else options)[name] = value
    known = {f.name for f in fields(Recipe)}
    for key in values:
        if key not in known:
            raise MerError(f"unknown key {key!r}", where=f"recipe {model}", fix=suggest(key, known))
    if "network" not in values:
        raise MerError("names no network", where=path, fix="write network = ..., or model = a name of the zoo")
    return Recipe(**{key: _typed(key, value) for key, value in values.items()}, options=options), built


def _in_zoo(model: str) -> Path:
    names = model_names()
    if model not in names:
        raise MerError(f"unknown model {model!r}", fix=suggest(model, names))
    return zoo() / model / "recipe.toml"


def _tables(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The values of a recipe's file, and its tables `options` and `built`."""
    try:
        values = parse_toml(read_text(path))
    except OSError as error:
        fix = "give the name of a file that is there"
        raise MerError(f"not a readable recipe ({error.strerror})", where=path, fix=fix) from None
    except (MerError, ValueError, RecursionError) as error:
        raise MerError(f"not a readable recipe ({error})", where=path, fix="correct the file") from None
    options, built = values.pop("options", {}), values.pop("built", {})
    if not isinstance(options, dict) or not isinstance(built, dict):
        raise MerError("options and built must be tables", where=path, fix="correct the file")
    return values, options, built


def parse_settings(settings: Sequence[str], example: str = "--set epochs=20") -> dict[str, Option]:
    """`key=value` texts as overrides; values are read as TOML where they are, else as text.

    >>> parse_settings(["epochs=5", "options.head=literal"])
    {'epochs': 5, 'options.head': 'literal'}
    """
    parsed: dict[str, Option] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise MerError(f"{setting!r} is not key=value", fix=f"write for example {example}")
        try:
            parsed[key] = parse_toml(f"value = {text}")["value"]
        except ValueError:
            parsed[key] = text
    return parsed


def _typed(key: str, value: Any) -> Any:
    wanted = get_type_hints(Recipe)[key]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted in (int, float, str) and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise MerError(f"{key} = {value!r} is not of type {wanted.__name__}", fix="correct the recipe or --set")
    return value
