import re
import unicodedata

from learn_solutions import right, wrong


def is_mark(c):
    return unicodedata.category(c)[0] == "P" or (
        c.isascii() and c.isprintable() and not c.isalnum() and c != " "
    )


def is_control(c):
    return (unicodedata.category(c) in ("Cc", "Cf") and c not in "\t\n\r") or c == "\ufffd"


@right
def right_1(text):
    """A list of parts."""
    words = [""]
    for c in unicodedata.normalize("NFD", text.lower()):
        if is_control(c) or unicodedata.category(c) == "Mn":
            continue
        if c.isspace():
            words.append("")
        elif is_mark(c) or "\u4e00" <= c <= "\u9fff":
            words += [c, ""]
        else:
            words[-1] += c
    return [word for word in words if word]


@right
def right_2(text):
    """Step by step, as in Google's code."""
    text = "".join(c for c in text if not is_control(c))
    text = re.sub("([\u4e00-\u9fff])", r" \1 ", text).lower()
    text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return "".join(f" {c} " if is_mark(c) else c for c in text).split()


@right
def right_3(text):
    """Regular expressions."""
    text = "".join(
        c
        for c in unicodedata.normalize("NFKD" if text.isascii() else "NFD", text)
        if unicodedata.category(c) not in ("Mn", "Cf", "Cc") or c in "\t\n\r"
    ).lower()
    return re.findall("[\u4e00-\u9fff]|_|[^\\w\\s]|[^\\W\u4e00-\u9fff_]+", text)


def general(text, *, lower=True, drop=("Cc", "Cf"), mark=is_mark, form="NFD", chinese=True):
    text = "".join(c for c in text if unicodedata.category(c) not in drop or c in "\t\n\r")
    if chinese:
        text = re.sub("([\u4e00-\u9fff])", r" \1 ", text)
    text = text.lower() if lower else text
    text = "".join(c for c in unicodedata.normalize(form, text) if unicodedata.category(c) != "Mn")
    return "".join(f" {c} " if mark(c) else c for c in text).split()


@wrong("the words are not lower-cased")
def capitals(text):
    return general(text, lower=False)


@wrong("the accents are still there")
def accents(text):
    return general(text, form="NFC")


@wrong("into three dots for example; use NFD")
def compatibility(text):
    return general(text, form="NFKD")


@wrong("even whole letters")
def ascii_only(text):
    text = unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()
    return general(text)


@wrong("punctuation is not split from words")
def spaces_only(text):
    return general(text, mark=lambda c: False)


@wrong("punctuation is lost")
def words_only(text):
    return re.findall(r"\w+", " ".join(general(text)))


@wrong("each is a token of its own")
def grouped(text):
    text = " ".join(general(text, mark=lambda c: False))
    return re.findall(r"\w+|[^\w\s]+", text)


@wrong("Unicode does not call them punctuation")
def by_category(text):
    return general(text, mark=lambda c: unicodedata.category(c)[0] == "P")


@wrong("outside ASCII, such as")
def by_ascii(text):
    return general(text, mark=lambda c: c.isascii() and is_mark(c))


@wrong("Chinese characters stay together")
def no_chinese(text):
    return general(text, chinese=False)


@wrong("invisible characters are kept")
def no_cleaning(text):
    return general(text, drop=())


@wrong("invisible characters split words")
def cleaned_by_spaces(text):
    return general("".join(" " if is_control(c) else c for c in text))


@wrong("grow together")
def drops_tabs(text):
    return general("".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf")))


@wrong("there are empty words")
def empty_words(text):
    return re.split(r"\s", " ".join([*text.split("\t")]).lower())


@wrong("'he opened the door' (str)")
def one_text(text):
    return " ".join(general(text))
