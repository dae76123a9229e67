"""Text -> ids. Read `normalize.py`, then `wordpiece.py`, then `tokenizer.py`.

normalize.py   text -> words                          wordpiece.py  word -> pieces
offsets.py     the same, knowing its place            chunks.py     the same, fast
rust.py        the same, by the `tokenizers` library  reading.py    texts -> sequences of ids
pairs.py       [CLS] a [SEP] b [SEP], and cutting     padding.py    rows of one length, tensors
batch.py       what may be handed over as text        options.py    how it may be asked for
rows.py        sequences -> the rows of a batch       encoding.py   what comes out
tokens.py      ids <-> tokens <-> text                saved.py      folders
"""
