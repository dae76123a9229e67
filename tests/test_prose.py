"""What you can rely on: of a docstring, prose comes out as paragraphs and whole sentences; code,
tables, headings, parameter lists and markup stay behind.
"""

import textwrap

import pytest

from minibert.data.builtin.prose import paragraphs, reads_as_sentence, sentences

NUMPY_STYLE = """
Compute the mean of all values
along the given axis.

Parameters
----------
a : array_like
    Array that holds the numbers whose mean is wanted.
axis : None or int, optional
    Axis along which the means are computed. The default
    is to compute the mean of the flattened array.

.. versionadded:: 1.7.0
    A tuple of axes is now supported by this function.

Examples
--------
>>> np.mean([1, 2])
1.5
This line belongs to the doctest and is not prose.

The arithmetic mean is the :func:`~lib.sum` of the ``elements``
divided by their number. Use it like this::

    value = mean(x)  # this is code and it must not be taken.

It is *never* negative for `positive numbers <http-target>`_ alone.
"""

GOOGLE_STYLE = """
Applies the function to each of the elements.

Args:
    input (Tensor): the input tensor. If it is empty, the result
        is an empty tensor as well.
    dim (int, optional): The dimension along which the values are taken.

.. note::
    This function may be slow for very large inputs.

- The first item of a list goes on
  in the line below the first one.
- The second item of the list stands alone.

=====  =====
First  The table is not a sentence at all.
=====  =====
"""


def test_numpy_style_gives_its_prose():
    assert [s for p in paragraphs(NUMPY_STYLE) for s in sentences(p)] == [
        "Compute the mean of all values along the given axis.",
        "Array that holds the numbers whose mean is wanted.",
        "Axis along which the means are computed.",
        "The default is to compute the mean of the flattened array.",
        "The arithmetic mean is the sum of the elements divided by their number.",
        "It is never negative for positive numbers alone.",
    ]


def test_google_style_gives_its_prose():
    assert [s for p in paragraphs(GOOGLE_STYLE) for s in sentences(p)] == [
        "Applies the function to each of the elements.",
        "If it is empty, the result is an empty tensor as well.",
        "The dimension along which the values are taken.",
        "This function may be slow for very large inputs.",
        "The first item of a list goes on in the line below the first one.",
        "The second item of the list stands alone.",
    ]


def test_licences_and_addresses_are_no_prose():
    assert paragraphs("Permission is hereby granted to all of the people.") == []
    assert paragraphs("More about it can be found at https://example.org today.") == []


def test_an_abbreviation_does_not_end_a_sentence():
    text = "Some names (e.g. Paris) are known to all of us. Others are known to nobody at all."
    assert sentences(text) == [
        "Some names (e.g. Paris) are known to all of us.",
        "Others are known to nobody at all.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The order of the dimensions is kept as it is.",
        "Return a copy of the list, sorted by length (the longest first).",
        "If it is empty, nothing is written to the file.",
    ],
)
def test_a_sentence_is_taken(text):
    assert reads_as_sentence(text)


@pytest.mark.parametrize(
    "text",
    [
        "Too short to be one.",
        "The end of this sentence is missing here",
        "begins with a small letter and is not taken.",
        "The value of max_value is returned to the caller.",
        "The call of run() is the last that is made.",
        "The class FooBarBaz and the camelCase are no words of English.",
        "The function os.path is a part of the module.",
        "The sum x + y is the value of the result.",
        "The N x M matrix is the result of the product.",
        "This (is not closed and therefore not a sentence.",
        'The "quote is not closed and so it is dropped.',
        "Red green blue yellow orange violet black white.",
        "If the value is not one of the names above.",
        "The result is 1 2 3 4 5 6 7 8 9.",
        "This is the first of two. and the second is small.",
        "The " + "very " * 40 + "long sentence is not for the reader.",
    ],
)
def test_what_is_no_sentence_is_left(text):
    assert not reads_as_sentence(text)


def test_a_paragraph_of_any_length_takes_no_longer_than_its_length_explains():
    # The patterns of the markup would not come back from these.
    for unit in (":a:", ":f:`a.", "` <", "a "):
        assert paragraphs(f"One {unit * 100_000} end.") == []


def test_a_docstring_of_odd_lines_is_no_trouble():
    for odd in ("", "\n\n", "::", "..", ".. ", "----", ">>> ", "- ", "x (Tensor): ", ":param x: "):
        assert paragraphs(odd) == []
        assert paragraphs(textwrap.indent(odd, "    ") + "\n" + odd) == []
