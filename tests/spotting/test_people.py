"""Several faces in one film: who is who, and what is found of each."""

import numpy as np
import pandas as pd
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.spotting.people import People, Person
from mer_pipeline.spotting.tracking import Place, Whereabouts
from mer_pipeline.spotting.video import spot_people, spot_video
from mer_pipeline.video import open_footage

FPS = 20.0
GROUND = np.dstack([np.add.outer(np.arange(480), np.arange(960)) // 8 + c for c in (20, 30, 40)]).astype(np.uint8)


@pytest.fixture(scope="module")
def mesh():
    with FaceMesh() as mesh:
        yield mesh


@pytest.fixture(scope="module")
def heads(two_people):
    """Two people cut out: (300, 240, 3) each."""
    frame = open_footage(two_people).frame(0)
    return frame[50:350, 210:450], frame[50:350, 850:1090]


@pytest.fixture(scope="module")
def followed(heads, mesh):
    """Where each head is in every frame -> {number or 0: the heads that it was on}, and who is known."""

    def follow(*places, ground=lambda frame: GROUND):
        people, on = People(FPS, mesh), {}
        for frame in range(len(places[0])):
            image = ground(frame).copy()
            for head, place in zip(heads, places, strict=True):
                if place[frame] is not None:
                    x, y = place[frame]
                    image[y : y + 300, x : x + 240] = head
            for person, face in people.push(frame, image).items():
                if face is not None:
                    here = Place.of(face.to_unit)
                    away = [1e9 if place[frame] is None else abs(here.x - place[frame][0] - 120) for place in places]
                    if min(away) < 80 < max(away):
                        on.setdefault(person.key, []).append((frame, int(np.argmin(away))))
        return people, on

    return follow


def still(x, frames):
    return [(x, 80)] * frames


def test_two_who_pass_each_other_do_not_swap(followed):
    """One walks before the other, who gets the number back or, not being certain, another: never that of the first."""
    walking = [(20 + 12 * frame, 80) for frame in range(55)]
    people, on = followed(still(340, 55), walking)
    for key, seen in on.items():
        assert len({head for _, head in seen}) == 1, f"{key} was on both"
    assert people.most == 2
    assert len(on[2]) > 40, "who is in front is not lost"
    assert all(each.after == (1,) for each in people.known if each.number > 2)


def test_one_who_is_hidden_for_a_moment_keeps_the_number(followed):
    hidden = [None if 20 <= frame < 30 else (120, 80) for frame in range(50)]
    people, on = followed(hidden, still(600, 50))
    assert [each.number for each in people.known] in ([1, 2], [2, 1])
    assert all(each.after == () for each in people.known)
    assert max(frame for frame, _ in min(on.values(), key=len)) == 49, "was found again"


ELSEWHERE = [
    pytest.param([(40, 80)] * 20 + [None] * 6 + [(600, 80)] * 30, None, id="at another place"),
    pytest.param([(360, 80)] * 20 + [None] * 30, [None] * 20 + [(300, 60)] * 30, id="a cut to somebody else"),
]


@pytest.mark.parametrize(("one", "other"), ELSEWHERE)
def test_who_is_not_certainly_the_same_has_a_new_number(followed, one, other):
    def ground(frame):
        return GROUND if frame < 20 else np.ascontiguousarray(GROUND[:, ::-1] // 2)

    people, _ = followed(one, other or [None] * len(one), ground=ground)
    assert sorted((each.number, each.after) for each in people.known) == [(1, ()), (2, (1,))]


def test_who_looks_as_only_the_same_face_does_is_known_in_another_shot(followed):
    def ground(frame):
        return GROUND if frame < 20 else np.ascontiguousarray(GROUND[:, ::-1] // 2)

    places = [None if 20 <= frame < 70 else (360, 80) for frame in range(90)]
    people, _ = followed(places, [None] * 90, ground=ground)
    assert [(each.number, each.frames > 35) for each in people.known] == [(1, True)]


def test_who_is_seen_for_less_than_half_a_second_is_no_person(followed):
    people, _ = followed(still(120, 30), [(600, 80) if 18 < frame < 26 else None for frame in range(30)])
    assert people.numbered == 1
    assert [person.number for person in people.forgotten()] == [0]


def test_many_who_were_lost_are_forgotten():
    people = People(FPS, lambda image: [])
    people.known = [Person(None, key, 0, Place(0, 0, 1), key % 20, lost_frame=key) for key in range(40)]
    assert [each.key for each in people.forgotten()] == [0, 20, *range(1, 20), 21, 22, 23]
    assert [each.key for each in people.known] == list(range(24, 40))
    assert list(people.forgotten()) == []


@pytest.fixture(scope="module")
def found(two_people, mesh):
    return spot_people(two_people, find_faces=mesh)


def test_what_was_planted_in_each_is_found_in_each(found, two_people):
    truth = pd.read_parquet(two_people.parent / "truth.parquet")
    assert [each.person for each in found] == [1, 2]
    for each in found:
        person = 1 + (each.where.places[0].x > 640)  # of the film, from the left
        planted = truth[truth["person"] == person]
        middles = [(row.onset_frame + row.offset_frame) / 2 for row in planted.itertuples()]
        assert len(each.intervals) == len(middles) == 2
        for interval, middle in zip(each.intervals, middles, strict=True):
            assert interval.onset_frame < middle < interval.offset_frame
        assert {place.x > 640 for place in each.where.places} == {person == 2}, "the ids do not swap"
        assert (each.faces, each.others_in_view, each.with_face) == (2, 0, each.looked_at)


def test_one_by_number_is_that_of_all(found, two_people, mesh):
    (second,) = spot_people(two_people, face=2, find_faces=mesh)
    assert (second.intervals, second.person, second.others_in_view) == (found[1].intervals, 2, 1)
    assert second.name == "s01.mp4, person 2"
    with pytest.raises(MerError, match="there is no face 3: 2 were followed; choose --face 1 to 2, all or largest"):
        spot_people(two_people, face=3, find_faces=mesh)


def test_the_largest_says_that_there_are_others(found, two_people, mesh):
    alone = spot_video(two_people, find_faces=mesh)
    assert (alone.person, alone.others_in_view) == (None, 1)
    assert "2 faces in one frame: one of them is followed, the largest first; --face all follows each" in alone.warnings
    assert alone.intervals == found[0].intervals
    assert alone.as_json()["others_in_view"] == 1


def test_a_face_is_the_one_that_is_nearest(heads, mesh):
    image = GROUND.copy()
    image[80:380, 40:280], image[80:380, 600:840] = heads
    faces = mesh(image)
    where = Whereabouts([0, 50], [Place(720, 220, 200), Place(160, 220, 200)])
    assert [where.own(frame, faces)[0].box.box_xyxy[0] > 480 for frame in (3, 45, 90)] == [True, False, False]
    assert Whereabouts([0], [Place(400, 220, 120)]).own(0, faces) == []
    assert len(Whereabouts().own(0, faces)) == 2
