from pathlib import Path

import numpy as np
import pytest

from mer_pipeline.synth import Options, synthesise
from mer_pipeline.synth.portrait import Portrait, load_portraits
from mer_pipeline.synth.subjects import Subject, draw_traits, make_subject

SUBJECTS, CLIPS = 2, 6


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset with everything that can be planted."""
    out = tmp_path_factory.mktemp("synth") / "casme2"
    options = Options(blink_share=0.5)
    return synthesise(out, subjects=SUBJECTS, clips=CLIPS, seed=1, options=options)


@pytest.fixture(scope="session")
def portraits() -> tuple[Portrait, Portrait]:
    return load_portraits(None)


@pytest.fixture(scope="session")
def subject(portraits: tuple[Portrait, Portrait]) -> Subject:
    rng = np.random.default_rng(5)
    return make_subject(portraits, draw_traits(rng, Options()), rng)
