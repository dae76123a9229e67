"""Exercise: WordPiece (lesson 02).

Split a word into tokens of the vocabulary, from left to right, and always take the longest token
that fits. A token inside a word has ## in front. If nothing fits somewhere, the whole word is
["[UNK]"]; so is a word of more than 200 characters.

By hand, with the vocabulary [UNK] un ##aff ##able play ##ing ##s:

    unaffable   un ##aff ##able
    plays       play ##s
    able        [UNK], because only ##able is there, which cannot start a word
    playful     [UNK], because nothing fits after play

中文：把一个词从左到右切成词表里的词元，每次取能匹配的最长的一个。词中间的词元前面带 ##。只要有一
处查不到，整个词就是 ["[UNK]"]；超过 200 个字符的词也是。上面是手算的例子：able 是 [UNK]，因为词
表里只有 ##able，它不能放在词首；playful 是 [UNK]，因为 play 后面什么都匹配不上。

参数：word 是一个词，没有空格，已经是小写；vocabulary 是字典，由词元查编号。
返回：词元（字符串）的列表，不是编号。

    minibert learn check wordpiece
"""


def wordpiece(word: str, vocabulary: dict[str, int]) -> list[str]:
    """Return the tokens of a word.

    Args:
        word: a word without spaces, already lower-cased.
        vocabulary: token -> id.
    """
    raise NotImplementedError  # about 15 lines
