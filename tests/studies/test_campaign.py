"""The part of the campaign of faults that is fast, from fixed seeds; the rest of it is slow."""

import os
import random
import signal
import time

import pytest

from mer_pipeline.faces.face_mesh import install, rewrite
from studies.campaign import AIMS, cases_of, report
from studies.campaign_set import prepare
from studies.children import Tally, outcome_of, run_cases
from studies.damage import mutated, with_wrong_value

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes of POSIX")
FAST = {"videos": 120, "sheets": 100, "cards": 25, "caches": 4, "models": 12}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # what stands in for the wheel is for these tests alone
        patch.setattr(install, "_FILES", dict(install._FILES))
        patch.setattr(rewrite, "rewrite", rewrite.rewrite)
        yield prepare(tmp_path_factory.mktemp("campaign") / "set", onnx=False)


@pytest.mark.parametrize(("name", "count"), FAST.items(), ids=list(FAST))
def test_no_fault(made, name, count):
    """Here and not in processes of their own: a case that crashes fails the tests all the same."""
    case = cases_of(made)[name]
    outcomes = {number: outcome_of(case, 0, number) for number in range(count)}
    assert {number: what for number, what in outcomes.items() if what.startswith("FAULT")} == {}
    assert len(set(outcomes.values())) > (name != "caches")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(AIMS))
def test_no_fault_of_any_kind(made, name):
    tally = Tally(name)
    run_cases(cases_of(made)[name], 1, range(max(3, AIMS[name][0] // 20)), tally, AIMS[name][1], AIMS[name][2])
    assert tally.faults == []


def crash(number, rng):
    if number == 1:
        os.kill(os.getpid(), signal.SIGUSR1)
    return "same"


def hang(number, rng):
    time.sleep(60 if number == 1 else 0)
    return "same"


@pytest.mark.parametrize(("case", "what"), [(crash, "ended by signal 10"), (hang, "ended by signal 9")])
def test_a_case_that_ends_its_process_is_a_fault_and_the_next_go_on(case, what):
    tally = Tally("x")
    run_cases(case, 0, range(4), tally, 3, 0.5)
    assert tally.counts == {"same": 3, "FAULT": 1}
    assert (tally.faults[0][0], what in tally.faults[0][1]) == (1, True)
    assert f"x 1: {tally.faults[0][1]}" in report([tally], 7, 60)


def test_damage_is_damage_and_comes_of_the_seed():
    for seed in range(200):
        one, two = (mutated(b"some content", random.Random(seed)) for _ in range(2))
        assert one == two != b"some content"
    assert len({with_wrong_value('{"a": {"b": [1, 2]}}', random.Random(seed)) for seed in range(100)}) > 20
