import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mer_pipeline.errors import MerError
from mer_pipeline.facs import AU_NAMES, AU_NUMBERS, ActionUnit, ActionUnits, Alternatives, parse_aus


def present(aus: ActionUnits) -> list[int]:
    return [number for number, bit in zip(AU_NUMBERS, aus.vector(), strict=True) if bit]


def row(cell, canonical, numbers, *, outside="", flags="", id=None):
    return pytest.param(cell, canonical, numbers, outside.split(), flags.split(), id=id or cell)


CELLS = [
    # CASME II
    row("4+7+L10", "4+7+L10", [4, 7, 10], id="casme2-side"),
    row("R2", "R2", [2], id="casme2-single-side"),
    row("1+L2", "1+L2", [1, 2], id="casme2-mixed"),
    row("12", "12", [12], id="casme2-plain"),
    # SAMM
    row("5B+24", "5B+24", [5, 24], id="samm-intensity"),
    row("10A/B", "10A/B", [10], id="samm-two-intensities"),
    row("L12A", "L12A", [12], id="samm-side-and-intensity"),
    row("A12B", "A12B", [12], id="samm-asymmetric"),
    row("A/L12", "A/L12", [12], id="samm-asymmetric-side"),
    row("A/12", "A12", [12], id="asymmetric-slash-without-side"),
    row("L12 or L14", "L12 or L14", [12], flags="alternative", id="samm-or"),
    row("(R6 or R12)+R15", "(R6 or R12)+R15", [6, 15], flags="alternative", id="samm-or-in-brackets"),
    row("R14A or 17A or 24A", "R14A or 17A or 24A", [14], flags="alternative", id="samm-or-three"),
    row("ref(7B)+43", "ref(7B)+43", [7], outside="43", flags="reflex", id="samm-reflex-counts"),
    row("T18", "T18", [18], id="samm-top"),
    row("B18", "B18", [18], id="samm-bottom"),
    row("T23", "T23", [23], id="samm-top-23"),
    row("31", "31", [], outside="31", id="samm-descriptor-31"),
    row("38", "38", [], outside="38", id="samm-descriptor-38"),
    row("39", "39", [], outside="39", id="samm-descriptor-39"),
    row("43E", "43E", [], outside="43", id="samm-descriptor-43E"),
    row("56", "56", [], outside="56", id="samm-descriptor-56"),
    row("61", "61", [], outside="61", id="samm-descriptor-61"),
    row("12+15 ", "12+15", [12, 15], id="samm-trailing-blank"),
    row("L12 + 61", "L12+61", [12], outside="61", id="samm-inner-blanks"),
    row("L14", "L14", [14], id="brief-L14"),
    row("R14", "R14", [14], id="brief-R14"),
    # what other sheets and people plausibly write
    row("l12a + REF(7b)", "L12A+ref(7B)", [7, 12], flags="reflex", id="lower-case"),
    row("AU4+au12", "4+12", [4, 12], id="au-prefix"),
    row("AD31", "31", [], outside="31", id="ad-prefix"),
    row("04+07", "4+7", [4, 7], id="leading-zeros"),
    row("4,7;12&15、17", "4+7+12+15+17", [4, 7, 12, 15, 17], id="other-separators"),
    row("4 and 7", "4+7", [4, 7], id="and"),
    row("4–7", "4+7", [4, 7], id="dash-is-a-separator-not-a-range"),
    row("１２＋Ｌ１４，１７", "12+L14+17", [12, 14, 17], id="full-width"),
    row("4　+\u00a07\n", "4+7", [4, 7], id="odd-blanks"),
    row("12?", "12?", [12], flags="uncertain", id="uncertain-after"),
    row("?12", "12?", [12], flags="uncertain", id="uncertain-before"),
    row("4+?", "4+?", [4], outside="?", flags="uncertain", id="uncertain-unnamed"),
    row("(1+2)?", "1?+2?", [1, 2], flags="uncertain", id="uncertain-group"),
    row("ref(6 or 7)", "ref(6) or ref(7)", [6], flags="alternative reflex", id="reflex-of-a-choice"),
    row("4+L12 or L14", "4+(L12 or L14)", [4, 12], flags="alternative", id="or-binds-tighter"),
    row("(6+12) or 14", "(6+12) or 14", [6, 12], flags="alternative", id="or-of-sums"),
    row("12/14", "12 or 14", [12], flags="alternative", id="slash-is-or"),
    row("10A/B12", "10A or B12", [10], flags="alternative", id="slash-before-a-side-is-or"),
    row("(1 or 2) or 4", "1 or 2 or 4", [1], flags="alternative", id="nested-or-is-flat"),
    row("12R", "R12", [12], id="side-after"),
    row("31 or 12", "31 or 12", [], outside="31", flags="alternative", id="first-alternative-outside"),
    row("4+4", "4+4", [4], id="repeated-code-is-kept"),
]


@pytest.mark.parametrize(("cell", "canonical", "numbers", "outside", "flags"), CELLS)
def test_cell(cell, canonical, numbers, outside, flags):
    aus = parse_aus(cell)
    assert str(aus) == canonical
    assert present(aus) == numbers
    assert list(aus.outside) == outside
    assert aus.flags == set(flags)
    assert parse_aus(str(aus)) == aus


@pytest.mark.parametrize(
    ("cell", "outside"),
    [
        pytest.param("soft focus", ("soft focus",), id="alone"),
        pytest.param("61 + Soft  Focus?", ("61", "soft focus"), id="uncertain-in-a-sum"),
        pytest.param("31+38+31", ("31", "38", "31"), id="repeats-are-countable"),
    ],
)
def test_outside_keeps_names_and_repeats(cell, outside):
    assert parse_aus(cell).outside == outside
    assert not any(parse_aus(cell).vector())


@pytest.mark.parametrize(
    "cell",
    ["", " ", "/", "／", "-", "—", "–", "nan", "NaN", "None", "n/a", "0", "-1", None, float("nan"), 0],
    ids=repr,
)
def test_empty_cells_have_no_action_units(cell):
    assert parse_aus(cell) == ActionUnits()
    assert str(parse_aus(cell)) == ""
    assert sum(parse_aus(cell).vector()) == 0


@pytest.mark.parametrize("cell", [12, 12.0, "12.0"], ids=repr)
def test_numbers_from_a_spreadsheet(cell):
    assert parse_aus(cell).terms == (ActionUnit(12),)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        pytest.param("4+", "the end comes where an action is expected", id="dangling-plus"),
        pytest.param("+4", "'+' at character 1 comes where an action is expected", id="leading-plus"),
        pytest.param("4++7", "'+' at character 3 comes where an action is expected", id="two-pluses"),
        pytest.param("1 2", "'2' at character 3 comes where '+' or 'or' is expected", id="only-a-blank-between"),
        pytest.param("4+smile", "'smile' at character 3 is no known action", id="word"),
        pytest.param("L", "'L' at character 1 is no known action", id="side-alone"),
        pytest.param("X12", "'X' at character 1 is no side: L, R, T, B, or A for asymmetric", id="unknown-side"),
        pytest.param("LR12", "'LR' at character 1 is no side: L, R, T, B, or A for asymmetric", id="two-sides"),
        pytest.param("12F", "'F' at character 3 is no intensity (A to E) and no side (L, R)", id="intensity-F"),
        pytest.param("12AB", "'AB' at character 3 is no intensity (A to E) and no side (L, R)", id="two-intensities"),
        pytest.param("10A/F", "'F' at character 5 is no intensity: A to E", id="second-intensity-F"),
        pytest.param("(4+7", "'(' at character 1 is never closed", id="open-bracket"),
        pytest.param("4+7)", "')' at character 4 comes where '+' or 'or' is expected", id="close-bracket"),
        pytest.param("4+712", "'712' at character 3 is no code from 1 to 99", id="lost-plus"),
        pytest.param("4+0", "'0' at character 3 is no code from 1 to 99", id="zero-in-a-sum"),
        pytest.param("4.7", "'.' at character 2 comes where '+' or 'or' is expected", id="decimal"),
        pytest.param("4²", "'²' at character 2 comes where '+' or 'or' is expected", id="superscript-is-no-digit"),
        pytest.param("4+＄", "'$' at character 3 comes where an action is expected", id="full-width-position"),
        pytest.param("(1+(2 or 4)) or 5", "'(' at character 1 begins a choice that holds another", id="nested-choice"),
        pytest.param("(" * 5000, "is nested too deeply", id="deep-brackets"),
        pytest.param("ref " * 5000, "is nested too deeply", id="deep-reflexes"),
        pytest.param("9" * 5000, "is no code from 1 to 99", id="huge-number"),
    ],
)
def test_unparsable_text_says_what_and_where(cell, message):
    with pytest.raises(MerError, match="is not Action Unit notation: ") as caught:
        parse_aus(cell)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_structure_keeps_everything():
    assert parse_aus("A/L12B? + 10A/B + (6 or ref(7+9))").terms == (
        ActionUnit(12, side="L", intensity="B", asymmetric=True, uncertain=True),
        ActionUnit(10, intensity="A", intensity_or="B"),
        Alternatives(((ActionUnit(6),), (ActionUnit(7, reflex=True), ActionUnit(9, reflex=True)))),
    )


def test_sequence_numbers_and_pickle():
    aus = parse_aus("4+(L12 or L14)+31")
    assert len(aus) == 3
    assert [str(term) for term in aus] == ["4", "L12 or L14", "31"]
    assert aus[0] == ActionUnit(4)
    assert aus.units == (ActionUnit(4), ActionUnit(12, side="L"), ActionUnit(31))
    assert aus.numbers == {4, 12, 31}
    assert pickle.loads(pickle.dumps(aus)) == aus  # noqa: S301 - worker processes send clips to each other
    assert hash(aus) == hash(parse_aus("4 + (l12 OR l14), 31"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({}, "got name", id="nothing"),
        pytest.param({"number": 0}, "got 0", id="zero"),
        pytest.param({"number": 100}, "got 100", id="too-large"),
        pytest.param({"number": 4, "name": "soft focus"}, "got 4 'soft focus'", id="number-and-name"),
        pytest.param({"name": "smile"}, "got name 'smile'", id="unknown-name"),
        pytest.param({"name": "soft focus", "side": "L"}, "no side", id="name-with-side"),
        pytest.param({"name": "?"}, "always uncertain", id="unnamed-but-certain"),
        pytest.param({"number": 4, "intensity_or": "B"}, "needs intensity", id="second-intensity-only"),
        pytest.param({"number": 4, "side": "X"}, "got 'X'", id="unknown-side"),
        pytest.param({"number": 4, "intensity": "F"}, "got F/None", id="unknown-intensity"),
    ],
)
def test_impossible_units_cannot_be_built(fields, message):
    with pytest.raises(ValueError, match=message):
        ActionUnit(**fields)


@pytest.mark.parametrize("options", [(), ((ActionUnit(4),),), ((ActionUnit(4),), ())], ids=["none", "one", "empty"])
def test_impossible_alternatives_cannot_be_built(options):
    with pytest.raises(ValueError, match="two or more non-empty options"):
        Alternatives(options)


def test_tables():
    assert len(AU_NUMBERS) == 21
    assert list(AU_NUMBERS) == sorted(set(AU_NUMBERS))
    assert AU_NAMES[12] == "Lip corner puller"
    assert set(AU_NUMBERS) <= set(AU_NAMES)
    assert parse_aus("+".join(map(str, AU_NUMBERS))).vector() == (1,) * 21


intensity = st.sampled_from("ABCDE")
coded = st.builds(
    ActionUnit,
    st.integers(1, 99),
    side=st.none() | st.sampled_from("LRTB"),
    intensity=intensity,
    intensity_or=st.none() | intensity,
    asymmetric=st.booleans(),
    uncertain=st.booleans(),
    reflex=st.booleans(),
)
plain = st.builds(ActionUnit, st.integers(1, 99), side=st.none() | st.sampled_from("LRTB"), asymmetric=st.booleans())
named = st.builds(ActionUnit, name=st.just("soft focus"), uncertain=st.booleans(), reflex=st.booleans())
unnamed = st.builds(ActionUnit, name=st.just("?"), uncertain=st.just(True), reflex=st.booleans())
unit = coded | plain | named | unnamed
choice = st.builds(
    Alternatives, st.lists(st.lists(unit, min_size=1, max_size=3).map(tuple), min_size=2, max_size=4).map(tuple)
)
action_units = st.builds(ActionUnits, st.lists(unit | choice, max_size=5).map(tuple))
notation = st.text(alphabet="0123456789ABELRTabrefou+/()?,;&- .", max_size=30)


@given(action_units)
def test_printed_structures_read_back_the_same(aus):
    assert parse_aus(str(aus)) == aus


@given(st.text() | notation | st.floats() | st.integers())
@example("²")
@example("\x00")
def test_any_text_is_read_or_refused(text):
    try:
        aus = parse_aus(text)
    except MerError:
        return
    assert parse_aus(str(aus)) == aus
    assert len(aus.vector()) == 21
