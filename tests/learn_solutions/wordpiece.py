from learn_solutions import right, wrong


@right
def right_1(word, vocabulary):
    if len(word) > 200:
        return ["[UNK]"]
    tokens, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            token = ("##" if start else "") + word[start:end]
            if token in vocabulary:
                break
        else:
            return ["[UNK]"]
        tokens.append(token)
        start = end
    return tokens


@right
def right_2(word, vocabulary):
    """Shorten a copy of the rest."""
    tokens = []
    rest = word
    while rest and len(word) <= 200:
        piece = rest
        while piece and piece not in vocabulary:
            piece = piece[:-1] if piece != "##" else ""
        if piece in ("", "##"):
            return ["[UNK]"]
        tokens.append(piece)
        rest = rest[len(piece) :]
        rest = f"##{rest}" if rest else ""
    return tokens if len(word) <= 200 else ["[UNK]"]


@right
def right_3(word, vocabulary):
    """By recursion."""

    def split(rest, prefix):
        if not rest:
            return []
        fits = [n for n in range(1, len(rest) + 1) if prefix + rest[:n] in vocabulary]
        if not fits:
            return None
        after = split(rest[max(fits) :], "##")
        return None if after is None else [prefix + rest[: max(fits)], *after]

    return (split(word, "") if len(word) <= 200 else None) or (["[UNK]"] if word else [])


def general(word, vocabulary, *, prefix="##", longest=0, reverse=False, unknown=None, limit=200):
    if len(word) > limit:
        return ["[UNK]"]
    tokens, start = [], 0
    while start < len(word):
        ends = range(len(word) - longest, start, -1)
        for end in reversed(ends) if reverse else ends:
            token = (prefix if start else "") + word[start:end]
            if token in vocabulary:
                tokens.append(token)
                start = end
                break
        else:
            if unknown is None:
                return ["[UNK]"]
            if unknown == "rest":
                return [*tokens, "[UNK]"]
            tokens += ["[UNK]"] * (unknown == "letter")
            start += 1
    return tokens


@wrong("without ##")
def no_prefix(word, vocabulary):
    return general(word, vocabulary, prefix="")


@wrong("these are ids")
def ids(word, vocabulary):
    return [vocabulary[token] for token in general(word, vocabulary)]


@wrong("is there a break?")
def no_break(word, vocabulary):
    tokens, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            token = ("##" if start else "") + word[start:end]
            if token in vocabulary:
                tokens.append(token)
                start = end
        return ["[UNK]"]
    return tokens


@wrong("the ## is missing in the result")
def stripped(word, vocabulary):
    return [token.removeprefix("##") for token in general(word, vocabulary)]


@wrong("the shortest piece")
def shortest(word, vocabulary):
    return general(word, vocabulary, reverse=True)


@wrong("reaches to the end of the word is never found")
def never_whole(word, vocabulary):
    return general(word, vocabulary, longest=1)


@wrong("the whole word is [UNK]")
def keeps_the_start(word, vocabulary):
    return general(word, vocabulary, unknown="rest")


@wrong("the whole word is one [UNK]")
def unknown_letters(word, vocabulary):
    return general(word, vocabulary, unknown="letter")


@wrong("only longer ones are")
def limit_of_hugging_face(word, vocabulary):
    return general(word, vocabulary, limit=100)


@wrong("more than 200 characters")
def no_limit(word, vocabulary):
    return general(word, vocabulary, limit=10**6)


@wrong("With the word '': `wordpiece('')` is ['[UNK]'], and [] is right")
def unknown_empty(word, vocabulary):
    return general(word, vocabulary) or ["[UNK]"]


@wrong("(tuple)")
def a_tuple(word, vocabulary):
    return tuple(general(word, vocabulary))
