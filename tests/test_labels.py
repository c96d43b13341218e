import csv
import pickle
from collections import Counter
from pathlib import Path

import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.labels import (
    LabelSet,
    Published,
    canonical_emotion,
    compare_with_published,
    default_label_set,
    known_emotions,
    label_set,
    label_set_from_file,
    label_set_names,
    published_sheet,
)

# Clips of each emotion, counted on the sheets.
CASME2 = {"others": 99, "disgust": 63, "happiness": 32, "surprise": 28, "repression": 27, "sadness": 4, "fear": 2}
SAMM = {
    **{"Anger": 57, "Happiness": 26, "Other": 26, "Surprise": 15, "Contempt": 12},
    **{"Disgust": 9, "Fear": 8, "Sadness": 6},
}
SMIC = {"negative": 70, "positive": 51, "surprise": 43}
CASME3 = {"disgust": 250, "surprise": 187, "others": 161, "fear": 86, "anger": 64, "sad": 57, "happy": 55}
# What the MEGC list leaves out of the CASME II sheet: 63 + 27 - 88 negative and 28 - 25 surprise clips.
CASME2_IN_MEGC = {**CASME2, "disgust": 61, "surprise": 25}


def class_counts(rules, dataset, emotions):
    counts = {}
    for emotion, n in emotions.items():
        index = rules.class_of(emotion, dataset=dataset)
        if index is not None:
            counts[rules.classes[index]] = counts.get(rules.classes[index], 0) + n
    return counts


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        pytest.param("happy", "happiness", id="casme3-happy"),
        pytest.param("happyiness", "happiness", id="casme-sq-misspelling"),
        pytest.param("Happiness", "happiness", id="samm-capital"),
        pytest.param("sad", "sadness", id="casme3-sad"),
        pytest.param("Other", "others", id="samm-other"),
        pytest.param("Others ", "others", id="casme3-capital-and-blank"),
        pytest.param("suprise", "surprise", id="surprise-misspelling"),
        pytest.param("surprised", "surprise", id="surprise-adjective"),
        pytest.param("fearful", "fear", id="fear-adjective"),
        pytest.param("ANGRY", "anger", id="anger-adjective"),
        pytest.param("\u00a0disgust\n", "disgust", id="odd-blanks"),
        *(pytest.param(name, name, id=f"canonical-{name}") for name in known_emotions()),
        *(
            pytest.param(blank, None, id=f"blank-{blank!r}")
            for blank in ("", "  ", "/", "-", "NaN", None, float("nan"))
        ),
    ],
)
def test_canonical_emotion(text, canonical):
    assert canonical_emotion(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("contemt", "unknown emotion 'contemt'; did you mean contempt? Known: anger, ", id="near"),
        pytest.param("xyz", "unknown emotion 'xyz'; Known: anger, ", id="far"),
        pytest.param(3, "unknown emotion '3'; Known: anger, ", id="number"),
    ],
)
def test_unknown_emotion_says_the_known_ones(text, message):
    with pytest.raises(MerError) as caught:
        canonical_emotion(text)
    assert str(caught.value).startswith(message)
    assert all(name in str(caught.value) for name in known_emotions())


def test_unknown_emotion_of_a_users_own_data():
    assert canonical_emotion(" Mild  Boredom", allow_unknown=True) == "mild boredom"


def test_known_emotions():
    expected = "anger contempt disgust fear happiness negative others positive repression sadness surprise tense"
    assert " ".join(known_emotions()) == expected


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("megc3", "negative positive surprise"),
        ("casme2-5", "happiness disgust repression surprise others"),
        ("samm-5", "anger contempt happiness surprise others"),
        ("mmew-4", "happiness surprise disgust others"),
        ("mmew-6", "happiness surprise anger disgust fear sadness"),
        ("mmew-7", "happiness surprise anger disgust fear sadness others"),
        ("casme3-4", "negative positive surprise others"),
        ("casme3-7", "disgust surprise others fear anger sadness happiness"),
        ("smic-3", "negative positive surprise"),
        ("casme-sq-4", "negative positive surprise others"),
    ],
)
def test_classes_and_their_order(name, classes):
    assert label_set(name).name == name
    assert " ".join(label_set(name).classes) == classes


@pytest.mark.parametrize("name", label_set_names())
def test_every_known_emotion_maps_or_is_dropped(name):
    rules = label_set(name)
    indices = [rules.class_of(emotion) for emotion in known_emotions()]
    assert {i for i in indices if i is not None} == set(range(len(rules.classes)))
    assert set().union(*rules.members) <= set(known_emotions())


@pytest.mark.parametrize("name", label_set_names())
def test_published_counts_are_consistent(name):
    for published in label_set(name).published.values():
        assert published.n > 0
        assert not published.classes or set(published.classes) == set(label_set(name).classes)
        assert not published.classes or sum(published.classes.values()) == published.n


@pytest.mark.parametrize(
    ("dataset", "emotions"), [("casme2", CASME2), ("samm", SAMM), ("smic", SMIC), ("casme3", CASME3)]
)
def test_whole_sheets(dataset, emotions):
    published = published_sheet(dataset)
    assert published.classes == {canonical_emotion(label): count for label, count in emotions.items()}
    assert published.n == sum(emotions.values())


def test_megc_composite_adds_up():
    published = label_set("megc3").published
    assert sum(p.n for p in published.values()) == 442
    assert sum(p.subjects or 0 for p in published.values()) == 68


@pytest.mark.parametrize(
    ("name", "dataset", "emotions"),
    [
        pytest.param("megc3", "casme2", CASME2_IN_MEGC, id="megc3-casme2"),
        pytest.param("megc3", "samm", SAMM, id="megc3-samm"),
        pytest.param("megc3", "smic", SMIC, id="megc3-smic"),
        pytest.param("casme2-5", "casme2", CASME2, id="casme2-5"),
        pytest.param("samm-5", "samm", SAMM, id="samm-5"),
        pytest.param("smic-3", "smic", SMIC, id="smic-3"),
        pytest.param("casme3-4", "casme3", CASME3, id="casme3-4"),
        pytest.param("casme3-7", "casme3", CASME3, id="casme3-7"),
    ],
)
def test_sheets_give_the_published_counts(name, dataset, emotions):
    rules = label_set(name)
    counts = class_counts(rules, dataset, emotions)
    assert counts == dict(rules.published[dataset].classes)
    assert compare_with_published(rules, dataset, counts, rules.published[dataset].subjects) == []


@pytest.mark.parametrize(
    ("clip_id", "emotion", "expected"),
    [
        ("casme2/04/EP12_01f", "surprise", None),
        ("casme2/05/EP09_05f", "surprise", None),
        ("casme2/24/EP07_01", "disgust", None),
        ("casme2/24/EP07_04f", "disgust", None),
        ("casme2/24/EP10_03", "surprise", None),
        ("casme2/24/EP10_02", "surprise", 2),
        ("casme2/09/EP02_02f", "fear", None),
        ("samm/006/006_1_2", "fear", 0),
        ("samm/006/006_1_2", "Other", None),
        ("samm/006/006_1_2", None, None),
    ],
)
def test_megc_list(clip_id, emotion, expected):
    assert label_set("megc3").class_of_clip(clip_id, emotion) == expected
    assert len(label_set("megc3").exclusions) == 5


@pytest.mark.shared
def test_megc_list_against_the_published_flow_images():
    path = Path(__file__).parents[2] / "shared" / "data" / "megc2019_flow" / "labels.csv"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rules = label_set("megc3")
    for dataset in ("casme2", "smic"):
        own = [row for row in rows if row["dataset"] == dataset]
        ids = {f"{dataset}/{row['subject'].removeprefix('sub')}/{row['clip']}" for row in own}
        assert not ids & rules.exclusions
        counts = Counter(row["emotion"] for row in own)
        assert compare_with_published(rules, dataset, counts, len({row["subject"] for row in own})) == []


def test_misspelled_label_drops_no_clips():
    with pytest.raises(MerError, match="label set megc3 has no emotion 'suprize'; did you mean surprise"):
        label_set("megc3").class_of("suprize")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("megc-3", "unknown label set 'megc-3'; did you mean megc3? Known: 4dme-5", id="near"),
        pytest.param("", "unknown label set ''; Known: 4dme-5", id="empty"),
    ],
)
def test_unknown_protocol(name, message):
    with pytest.raises(MerError) as caught:
        label_set(name)
    assert str(caught.value).startswith(message)


def test_protocols_travel_between_processes_and_are_hashable():
    rules = label_set("megc3")
    assert pickle.loads(pickle.dumps(rules)) == rules  # noqa: S301 - our own bytes
    assert hash(rules) == hash(label_set(" MEGC3 "))


@pytest.mark.parametrize(
    ("dataset", "emotions", "expected"),
    [
        ("casme2", CASME2, "casme2-5"),
        ("samm", SAMM, "samm-5"),
        ("mmew", {}, "mmew-4"),
        ("smic", SMIC, "smic-3"),
        ("casme3", CASME3, "casme3-4"),
        ("casme-sq", {}, "casme-sq-4"),
        ("megc2019_flow", SMIC, "megc3"),
        pytest.param(None, [*CASME2, *SAMM, *SMIC], "megc3", id="several"),
        pytest.param("own", ["happy", "sad", None], "megc3", id="own-shared-labels"),
        pytest.param("own", ["happy", "boredom"], "labels", id="own-labels"),
        pytest.param("own", ["happy", "others"], "labels", id="only-one-shared-class"),
    ],
)
def test_default_protocol(dataset, emotions, expected):
    assert default_label_set(dataset, emotions).name == expected


def test_default_protocol_without_labels():
    with pytest.raises(MerError, match="own: no clip has an emotion; add an emotion column"):
        default_label_set("own", ["", None])


def test_own_labels_become_classes_in_fixed_order():
    rules = default_label_set("own", ["Zest", "happy", "boredom", "zest"])
    assert rules.classes == ("boredom", "happiness", "zest")
    assert rules.class_of("ZEST") == 2


@pytest.mark.parametrize(
    ("counts", "subjects", "lines"),
    [
        pytest.param(SMIC, 16, [], id="same"),
        pytest.param(SMIC, None, [], id="subjects-unknown"),
        pytest.param(SMIC, 15, ["smic under smic-3: 15 subjects, published 16"], id="subjects"),
        pytest.param(
            {"negative": 71, "positive": 50, "surprise": 43},
            16,
            ["smic under smic-3: negative 71, published 70", "smic under smic-3: positive 50, published 51"],
            id="classes-with-the-same-n",
        ),
        pytest.param(
            {"negative": 70, "positive": 51},
            None,
            ["smic under smic-3: 121 clips, published 164", "smic under smic-3: surprise 0, published 43"],
            id="absent-class",
        ),
    ],
)
def test_compare_with_published(counts, subjects, lines):
    assert compare_with_published(label_set("smic-3"), "smic", counts, subjects) == lines


def test_compare_where_little_or_nothing_was_published():
    assert compare_with_published(label_set("smic-3"), "own", {"negative": 1}) == []
    lines = compare_with_published(label_set("mmew-7"), "mmew", {"happiness": 299}, 36)
    assert lines == ["mmew under mmew-7: 299 clips, published 300"]


GOOD = """
name = "mine"
exclude = ["own/01/a"]
drop.casme2 = ["fear"]
published.casme2 = { n = 3, subjects = 2, classes = { up = 1, down = 2 } }
[classes]
up = ["happy", "Zest"]
down = ["sad", "fear"]
"""


def test_protocol_from_file(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD, encoding="utf-8")
    rules = label_set_from_file(path)
    assert rules.name == "mine"
    assert rules.classes == ("up", "down")
    assert [rules.class_of(e) for e in ("happiness", "zest", "Sadness", "others")] == [0, 0, 1, None]
    assert rules.class_of("fear", dataset="casme2") is None
    assert rules.class_of_clip("own/01/a", "sad") is None
    assert rules.published["casme2"] == Published(3, 2, {"up": 1, "down": 2})


def test_protocol_from_file_is_named_after_it(tmp_path):
    path = tmp_path / "mood.toml"
    path.write_bytes(b'\xef\xbb\xbfclasses = { up = ["happy"], down = ["sad"] }')  # as Windows editors save it
    assert label_set_from_file(str(path)).name == "mood"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a = ", "no valid TOML: Invalid value", id="toml"),
        pytest.param("[" * 9000, "no valid TOML", id="deep-toml"),
        pytest.param(b"\xff\xfe", "not text in UTF-8", id="not-utf-8"),
        pytest.param("", "classes: expected a table, got nothing", id="empty"),
        pytest.param("clases = 1", "unknown key 'clases' in the label set; did you mean classes?", id="unknown-key"),
        pytest.param('name = 3\nclasses.a = ["sad"]', "name: expected text, got 3", id="name"),
        pytest.param("classes = 3", "classes: expected a table, got 3", id="classes-kind"),
        pytest.param("classes.a = 'sad'", "classes.a: expected a list of texts, got 'sad'", id="class-kind"),
        pytest.param("classes.a = [3]", "classes.a: expected a text, got 3", id="emotion-kind"),
        pytest.param("classes.a = []", "own.toml: every class needs at least one emotion", id="empty-class"),
        pytest.param("classes.a = ['']", "classes.a: blank emotion", id="blank-emotion"),
        pytest.param("classes.a = ['sad']", "classes: expected two or more, got one", id="one-class"),
        pytest.param("classes = {}", "every class needs at least one emotion", id="no-class"),
        pytest.param("classes = {a = ['sad'], b = ['sadness']}", "sadness in more than one class", id="twice"),
        pytest.param("exclude = 'x'\nclasses.a = ['sad']", "exclude: expected a list of texts", id="exclude-kind"),
        pytest.param("drop = ['x']\nclasses.a = ['sad']", "drop: expected a table", id="drop-kind"),
        pytest.param("published.x = 3\nclasses.a = ['sad']", "published.x: expected a table, got 3", id="published"),
        pytest.param("published.x.m = 3\nclasses.a = ['sad']", "unknown key 'm' in published.x", id="published-key"),
        pytest.param("published.x = {}\nclasses.a = ['sad']", "published.x: n: expected a count, got None", id="no-n"),
        pytest.param("published.x.n = true\nclasses.a = ['sad']", "n: expected a count, got True", id="n-kind"),
        pytest.param("published.x = {n = 1, m = 1}\nclasses.a = ['sad']", "unknown key 'm'", id="published-keys"),
        pytest.param("published = []\nclasses.a = ['sad']", "published: expected a table, got []", id="published-kind"),
        pytest.param("published.x.n = 1.5\nclasses.a = ['sad']", "n: expected a count, got 1.5", id="n-real"),
        pytest.param("published.x = {n = 1, subjects = 'x'}\nclasses.a = ['sad']", "subjects: expected", id="subjects"),
        pytest.param("name = ' '\nclasses.a = ['sad']", "name: expected text, got ' '", id="blank-name"),
        pytest.param("drop.x = 'sad'\nclasses.a = ['sad']", "drop.x: expected a list of texts", id="drop-list"),
        pytest.param("exclude = [5]\nclasses.a = ['sad']", "exclude: expected a text, got 5", id="exclude-item"),
        pytest.param("\x00", "no valid TOML", id="nul"),
        pytest.param("published.x.n = -1\nclasses.a = ['sad']", "n: expected a count, got -1", id="n-negative"),
        pytest.param("published.x = {n = 2, classes = {a = 1}}\nclasses.a = ['sad']", "add up to 1, n is 2", id="sum"),
        pytest.param(
            "published.x = {n = 1, classes = {b = 1}}\nclasses.a = ['sad']", "name unknown classes: b", id="strange"
        ),
    ],
)
def test_bad_protocol_file(tmp_path, text, message):
    path = tmp_path / "own.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MerError) as caught:
        label_set_from_file(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_protocol_file_that_is_no_file(tmp_path):
    with pytest.raises(MerError, match="not a file; check the path"):
        label_set_from_file(tmp_path)


def test_class_named_twice():
    with pytest.raises(MerError, match="label set p: a class is named twice"):
        LabelSet("p", ("a", "a"), (frozenset({"sadness"}), frozenset({"fear"})))
