r"""Exercise: split a text into words (lesson 01).

An uncased BERT changes a text like this before it looks up words:

1. Invisible characters (Unicode categories Cc and Cf, U+FFFD) are dropped. Tab and line ends (\t,
   \n, \r) are not: like all spaces, they separate words.
2. Every Chinese character is a word of its own.
3. Letters become lower-case, and accents are dropped: É becomes e.
4. Every punctuation mark is a word of its own. ASCII symbols count as punctuation, even $ and +.

By hand: "Élan, 我爱BERT!" becomes elan | , | 我 | 爱 | bert | !

中文：不区分大小写的 BERT 在查词表之前这样处理文本：
1. 丢掉看不见的字符（Unicode 类别 Cc、Cf 和 U+FFFD）；但 \t、\n、\r 不丢，它们和空格一样分隔词。
2. 每个汉字单独成词。
3. 字母变成小写，去掉重音符号：É 变成 e。
4. 每个标点单独成词。ASCII 里的符号都算标点，$ 和 + 也算。
手算："Élan, 我爱BERT!" 变成 elan | , | 我 | 爱 | bert | !

参数：text 是一段文本。unicodedata.category(字符) 和 unicodedata.normalize("NFD", text) 有用。
返回：按顺序排列的词和标点的列表。

    minibert learn check normalize
"""


def normalize(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in order.

    `unicodedata.category(character)` and `unicodedata.normalize("NFD", text)` help.
    """
    raise NotImplementedError  # 10 to 20 lines
