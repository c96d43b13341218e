"""Cases of the campaign in which work is disturbed: killed, done twice at once, on a disk without space; and models."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import choose_detector
from mer_pipeline.faces.face_mesh import FaceMesh, install
from mer_pipeline.faces.face_mesh.models import read_models
from mer_pipeline.video import open_footage
from studies.campaign_set import Undisturbed, digest_of_cache, digest_of_models, make_cache, place
from studies.children import MOST_S, finished, killed, scarce_disk, start
from studies.damage import damage, mutated, with_wrong_part


class DisturbedCases:
    """The cases over an undisturbed set; each category is a method."""

    def __init__(self, made: Undisturbed) -> None:
        self.made = made

    def killings(self, number: int, rng: random.Random) -> str:
        """What is killed eight times goes on to the result of what was never killed."""
        what, work = list(self.made.works.items())[number % 4]
        with place() as folder:
            target, kills = folder / what, 0
            for _ in range(8):  # what finishes takes longest, so that more kills cost little
                kills += killed(start(lambda: work.do(target)), rng.uniform(0, work.longest_s))
                if what == "few":  # is written whole or not at all
                    assert not target.exists() or work.digest(target) == self.made.digests[what], "half a set"
                if what == "models":
                    self._same_or_refused(target)
            if what != "few" or not target.exists():
                code = finished(start(lambda: work.do(target)), 3 * MOST_S)
                assert code == 0, f"{what}: exit code {code}"
            assert work.digest(target) == self.made.digests[what], f"another {what}"
        return f"same after {kills} kills"

    def together(self, number: int, rng: random.Random) -> str:
        """Two or four processes on one cache, some of whose entries are damaged."""
        with place() as folder:
            cache = folder / "cache"
            if number % 2:
                shutil.copytree(self.made.folder / "cache", cache)
                objects = sorted(path for path in (cache / "objects").rglob("*") if path.is_file())
                for path in rng.sample(objects, 5):
                    path.write_bytes(mutated(path.read_bytes(), rng))
            children = [start(lambda: make_cache(self.made.folder / "raw", cache)) for _ in range(rng.choice((2, 4)))]
            codes = [finished(child, 3 * MOST_S) for child in children]
            assert not any(codes), f"exit codes {codes}"
            assert digest_of_cache(cache) == self.made.digests["cache"], "another cache"
        return "same"

    def disks(self, number: int, rng: random.Random) -> str:
        """A disk that fills up, or may not be written: one clear line, and the same result once there is space."""
        what, work = list(self.made.works.items())[number % 4]
        kind = ("full", "read-only", "short files")[number // 4 % 3]
        with place() as folder:
            target = folder / "there" / what
            target.parent.mkdir()
            size = rng.choice((0, 100, 3000, 20_000, 80_000, 300_000, 3 << 20))
            with scarce_disk(target.parent, kind, size) as relieve:
                refused = _refused(lambda: work.do(target))
                assert refused or kind != "read-only", "nothing was refused"
                relieve()
                if what != "few" or not target.exists():
                    work.do(target)
                assert work.digest(target) == self.made.digests[what], f"another {what}"
        return "same after a clear line" if refused else "same"

    def models(self, number: int, rng: random.Random) -> str:
        """A damaged wheel, `.task` or folder of models: refused, or the same faces; `mer setup` makes them whole."""
        kind = ("wheel", "task", "folder")[number % 3]
        with place() as folder:
            if kind == "task":
                return self._task(folder / "own.task", rng)
            wheel, target = self.made.folder / "mediapipe.whl", folder / "models"
            if kind == "wheel":
                content = wheel.read_bytes()
                wheel = folder / wheel.name
                wheel.write_bytes((with_wrong_part if rng.random() < 0.3 else mutated)(content, rng))
            else:
                shutil.copytree(self.made.folder / "models", target)
                others = sorted((self.made.folder / "models").iterdir())
                for path in rng.sample(sorted(target.iterdir()), rng.randint(1, 3)):
                    damage(path, [each for each in others if each.name != path.name], rng)
                self._same_or_refused(target)
            install.install(wheel, target)
            assert digest_of_models(target) == self.made.digests["models"], "other models"
        return "same"

    def _same_or_refused(self, folder: Path) -> None:
        if not _refused(lambda: FaceMesh(models=read_models(folder))):
            assert digest_of_models(folder) == self.made.digests["models"], "other models"

    def _task(self, task: Path, rng: random.Random) -> str:
        """Damage of the archive is noticed; a model that is another one is refused, or finds what it finds."""
        content = (self.made.folder / "own.task").read_bytes()
        inside = rng.random() < 0.5
        task.write_bytes((with_wrong_part if inside else mutated)(content, rng))
        frame = open_footage(next(path for path in (self.made.folder / "few").rglob("*.jpg")).parent).frame(0)
        with (
            choose_detector(face_model=task).open() as find_faces,
            FaceMesh(models=read_models(self.made.folder / "models")) as mesh,
        ):
            found, expected = find_faces(frame), mesh(frame)
        same = len(found) == len(expected) and all(
            np.array_equal(one.points_xy, other.points_xy) for one, other in zip(found, expected, strict=True)
        )
        if inside:
            return "read"
        assert same, "other faces"
        return "same"


def _refused(work: Callable[[], object]) -> bool:
    """Whether something ends in one clear line."""
    try:
        work()
    except MerError as error:
        if "\n" in str(error):
            raise AssertionError("an error of several lines") from error
        return True
    return False
