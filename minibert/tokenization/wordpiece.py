"""Word -> pieces: the vocabulary, and greedy longest match first.

The second half of BERT's tokenizer (Wu et al. 2016, section 4.1; Google's `WordpieceTokenizer`).
How a vocabulary is made is another matter: see `train_vocab.py`.
"""

from collections.abc import Mapping
from pathlib import Path

from minibert.errors import MiniBertError

CONTINUES = "##"
_KEY_LETTERS = 3


class WordPiece:
    """Cuts one word into the pieces that a vocabulary knows.

    Args:
        vocabulary: piece -> id; a piece that continues a word begins with "##".
        unknown_token: what a word becomes that cannot be cut.
        max_characters_per_word: longer words become `unknown_token` at once, so that a stranger's
            endless word cannot buy endless work. Google's code has 200, Hugging Face's 100. The
            default is Google's, as the weights and vocabularies are; the two differ only on words
            of 101 to 200 characters (Thai or Khmer without spaces, long links).

    Example:
        >>> wordpiece = WordPiece({"[UNK]": 0, "un": 1, "##aff": 2, "##able": 3})
        >>> wordpiece.split("unaffable"), wordpiece.split("unknown")
        (['un', '##aff', '##able'], ['[UNK]'])
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        *,
        unknown_token: str = "[UNK]",
        max_characters_per_word: int = 200,
    ) -> None:
        self.vocabulary = vocabulary
        self.unknown_token = unknown_token
        self.max_characters_per_word = max_characters_per_word
        # The longest piece that begins with these letters: no longer match needs to be tried, so
        # the work for a word grows with its length, not with the square of it.
        self._longest: dict[str, int] = {}
        for piece in vocabulary:
            letters = len(piece.removeprefix(CONTINUES))
            key = piece[: len(piece) - letters + _KEY_LETTERS]
            self._longest[key] = max(letters, self._longest.get(key, 0))

    def split(self, word: str) -> list[str]:
        """Cut a word into the longest pieces that fit; one gap makes the whole word unknown."""
        if len(word) > self.max_characters_per_word:
            return [self.unknown_token]
        pieces = []
        start, prefix = 0, ""
        while start < len(word):
            key = prefix + word[start : start + _KEY_LETTERS]
            longest = self._longest.get(key, _KEY_LETTERS - 1)
            for end in range(min(len(word), start + longest), start, -1):
                piece = prefix + word[start:end]
                if piece in self.vocabulary:
                    break
            else:
                return [self.unknown_token]
            pieces.append(piece)
            start, prefix = end, CONTINUES
        return pieces


def read_vocabulary(path: str | Path) -> dict[str, int]:
    """Read a `vocab.txt`: one piece a line, its id is the line number, counted from 0.

    Raises:
        MiniBertError: no such file, not UTF-8, empty, a byte order mark, Windows line ends, an
            empty line, or a piece that is there twice; the message names file and line.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise MiniBertError(
            f"could not read the vocabulary {path}: {error.strerror}; give the path of a vocab.txt."
        ) from error
    except UnicodeDecodeError as error:
        raise MiniBertError(
            f"{path} is not UTF-8 text at byte {error.start}; is it really a vocab.txt?"
        ) from error
    if not text.strip():
        raise MiniBertError(f"{path} is empty; a vocab.txt has one piece a line.")
    if text.startswith("\ufeff"):
        raise MiniBertError(
            f"{path}, line 1 begins with a byte order mark, which would become part of the "
            "first piece; "
            "save the file as UTF-8 without BOM."
        )
    vocabulary: dict[str, int] = {}
    # Only "\n" ends a line: Google's Chinese vocabulary has U+2028, a "line separator", as a piece.
    for index, piece in enumerate(text.removesuffix("\n").split("\n")):
        line = f"{path}, line {index + 1}"
        if piece.endswith("\r"):
            raise MiniBertError(
                f"{line} ends with a carriage return, so no piece would match; "
                "save the file with line ends LF, not CRLF."
            )
        if not piece:
            raise MiniBertError(
                f"{line} is empty; every line holds one piece, and its number is an id."
            )
        if piece in vocabulary:
            raise MiniBertError(
                f"{line}: {piece!r} was already on line {vocabulary[piece] + 1}; an id needs its "
                "own piece."
            )
        vocabulary[piece] = index
    return vocabulary
