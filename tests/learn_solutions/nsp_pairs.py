import random
from itertools import pairwise

from learn_solutions import right, wrong


@right
def right_1(documents, rng):
    pairs = []
    for number, document in enumerate(documents):
        for first, second in pairwise(document):
            if rng.random() < 0.5:
                pairs.append((first, second, 0))
            else:
                other = rng.randrange(len(documents) - 1)
                other += other >= number
                pairs.append((first, rng.choice(documents[other]), 1))
    return pairs


@right
def right_2(documents, rng):
    """Draw until it is another document, as Google does."""
    pairs = []
    for document in documents:
        for place in range(len(document) - 1):
            label = rng.randint(0, 1)
            other = document
            while other is document:
                other = rng.choice(documents)
            pairs.append((document[place], (document[place + 1], rng.choice(other))[label], label))
    rng.shuffle(pairs)
    return pairs


@right
def right_3(documents, rng):
    """All true pairs first, then exactly half of them get a random B; lists, not tuples."""
    pairs = [[a, b, 0, d] for d, text in enumerate(documents) for a, b in pairwise(text)]
    for pair in rng.sample(pairs, len(pairs) // 2):
        others = [text for number, text in enumerate(documents) if number != pair[3]]
        pair[1:3] = rng.choice(rng.choice(others)), 1
    return [pair[:3] for pair in pairs]


def general(documents, rng, *, half=0.5, labels=(0, 1), last=1, step=1, other=None, pick=None):
    pairs = []
    for number, document in enumerate(documents):
        for place in range(0, len(document) - last, step):
            if rng.random() < half and place + 1 < len(document):
                pairs.append((document[place], document[place + 1], labels[0]))
            else:
                others = documents[:number] + documents[number + 1 :]
                source = other(documents, document) if other else rng.choice(others)
                second = pick(source) if pick else rng.choice(source)
                pairs.append((document[place], second, labels[1]))
    return pairs


@wrong("In BERT, 0 is 'B follows A'")
def labels_exchanged(documents, rng):
    return general(documents, rng, half=1.0, labels=(1, 0))


@wrong("1 is 'random'")
def all_follow(documents, rng):
    return general(documents, rng, half=0.0, labels=(0, 0))


@wrong("take a random B from another one")
def same_document(documents, rng):
    return general(documents, rng, other=lambda texts, text: text[:1])


@wrong("100% of the pairs are random")
def all_random(documents, rng):
    return general(documents, rng, half=0.0)


@wrong("0% of the pairs are random")
def none_random(documents, rng):
    return general(documents, rng, half=1.0)


@wrong("is an A, but it is the last of its document")
def last_sentence(documents, rng):
    return general(documents, rng, last=0)


@wrong("is never an A")
def every_second(documents, rng):
    return general(documents, rng, step=2)


@wrong("is the A of 2 pairs")
def both(documents, rng):
    return general(documents, rng, half=1.0) + general(documents, rng, half=0.0)


@wrong("draw both the document and the sentence anew")
def first_sentence(documents, rng):
    return general(documents, rng, pick=lambda text: text[0])


@wrong("from 2 of 200 documents")
def fixed_document(documents, rng):
    return general(documents, rng, other=lambda texts, text: texts[-1 - (texts[-1] is text)])


@wrong("draw only from rng")
def own_randomness(documents, rng):
    return general(documents, random.Random())


@wrong("does not hold two sentences")
def joined(documents, rng):
    return [(f"{a} {b}", b, label) for a, b, label in general(documents, rng)]


@wrong("a list of triples")
def pairs_of_pairs(documents, rng):
    return [((a, b), label) for a, b, label in general(documents, rng)]


@wrong("is not 0 or 1")
def bool_labels(documents, rng):
    return general(documents, rng, labels=(False, True))


@wrong("B is from the same document as A; take a random B from another one")
def any_document(documents, rng):
    return general(documents, rng, other=lambda texts, text: texts[rng.randrange(len(texts))])


@wrong("B is from the same document as A; take a random B from another one")
def any_document_but_the_next_sentence(documents, rng):
    """Exclude the next sentence alone, not its document."""
    sentences = [sentence for document in documents for sentence in document]
    pairs = []
    for document in documents:
        for first, following in pairwise(document):
            second = following if rng.random() < 0.5 else rng.choice(sentences)
            pairs.append((first, second, int(second != following)))
    return pairs


@wrong("are from 1 other documents, not from 3; draw the document anew")
def next_document(documents, rng):
    return general(
        documents, rng, other=lambda texts, text: texts[(texts.index(text) + 1) % len(texts)]
    )
