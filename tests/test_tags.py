"""What you can rely on: spans become tags and back in every scheme; broken tags are found."""

import random

import pytest

from minibert.data.labelled.tags import SCHEMES, Span, TagSet, find_spans, guess_scheme, write_tags
from minibert.errors import MiniBertError

# Peter Blackburn visits New York City Paris London: two places follow each other.
SPANS = [Span("PER", 0, 2), Span("LOC", 3, 6), Span("LOC", 6, 7), Span("LOC", 7, 8)]
WRITTEN = {
    "IOB1": "I-PER I-PER O I-LOC I-LOC I-LOC B-LOC B-LOC",
    "IOB2": "B-PER I-PER O B-LOC I-LOC I-LOC B-LOC B-LOC",
    "BIOES": "B-PER E-PER O B-LOC I-LOC E-LOC S-LOC S-LOC",
    "BILOU": "B-PER L-PER O B-LOC I-LOC L-LOC U-LOC U-LOC",
    "BMES": "B-PER E-PER O B-LOC M-LOC E-LOC S-LOC S-LOC",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_is_written_read_and_guessed(scheme: str):
    tags = WRITTEN[scheme].split()
    assert write_tags(SPANS, 8, scheme) == tags
    assert find_spans(tags) == SPANS
    assert find_spans(tags, scheme) == SPANS
    assert guess_scheme([tags]) == scheme


def test_random_spans_survive_every_scheme():
    draw = random.Random(0)
    for _ in range(200):
        spans, end = [], 0
        for _ in range(draw.randint(0, 4)):
            start = end + draw.randint(0, 2)
            end = start + draw.randint(1, 3)
            spans.append(Span(draw.choice(["A", "B", "_"]), start, end))
        for scheme in SCHEMES:
            tags = write_tags(spans, end + 1, scheme)
            assert find_spans(tags) == find_spans(tags, scheme) == spans


@pytest.mark.parametrize(
    ("tags", "repaired"),
    [
        ("O I-PER I-PER", "O B-PER I-PER"),
        ("B-PER I-LOC O", "B-PER B-LOC O"),
        ("I-PER B-PER I-PER", "B-PER B-PER I-PER"),
    ],
)
def test_broken_tags_are_read_as_conlleval_does_and_written_well(tags: str, repaired: str):
    assert TagSet((), "IOB2").well_formed(tags.split()) == repaired.split()


def test_a_span_that_never_ends_is_repaired_and_strictly_none():
    assert TagSet((), "BIOES").well_formed(["B-PER", "I-PER", "O"]) == ["B-PER", "E-PER", "O"]
    assert find_spans(["B-PER", "I-PER", "O"], "BIOES") == []


def test_letters_alone_mark_words_of_chinese_text():
    tags = "B E S B M M E".split()
    assert guess_scheme([tags]) == "BMES"
    assert find_spans(tags) == [Span("_", 0, 2), Span("_", 2, 3), Span("_", 3, 7)]
    assert set(TagSet.from_tags([tags], "BMES").names) == set("BMES")


def test_parts_of_speech_have_no_scheme_and_stay_as_they_are():
    tags = ["DT", "NN", "O"]
    assert guess_scheme([tags]) is None
    assert TagSet.from_tags([tags], None) == TagSet(("DT", "NN", "O"), None)
    assert TagSet((), None).well_formed(tags) == tags


def test_a_model_has_all_tags_of_each_type_that_occurs():
    assert TagSet.from_tags([["B-PER", "O"]], "IOB2").names == ("O", "B-PER", "I-PER")
    names = TagSet.from_tags([["S-PER", "O"]], "BIOES").names
    assert names == ("O", "B-PER", "I-PER", "E-PER", "S-PER")
    with pytest.raises(MiniBertError, match="all words have the tag 'O'"):
        TagSet.from_tags([["O", "O"]], None)
