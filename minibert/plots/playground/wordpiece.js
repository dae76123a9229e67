// Text -> words -> pieces -> ids: the JavaScript twin of tokenization/normalize.py and wordpiece.py.
// Functions have the names that they have there; a string is handled by its code points, as in Python.
"use strict";

const CHINESE_RANGES = [
  [0x4E00, 0x9FFF], [0x3400, 0x4DBF], [0x20000, 0x2A6DF], [0x2A700, 0x2B73F],
  [0x2B740, 0x2B81F], [0x2B820, 0x2CEAF], [0xF900, 0xFAFF], [0x2F800, 0x2FA1F],
];
const SUBWORD_PREFIX = "##";               // marks a piece that continues a word

// The text as `split_punctuation` gets it: cleaned, lower-cased, without accents.
function normalize(text, options) {
  text = clean(text);
  if (options.space_chinese) text = space_chinese(text);
  if (options.lower_case) text = text.toLowerCase();
  if (options.strip_accents) text = strip_accents(text);
  return text;
}

function split_words(text, options) {
  return split_punctuation(normalize(text, options));
}

// Drop invisible characters and replace every kind of space by " ".
function clean(text) {
  const kept = Array.from(text).filter(character => !is_dropped(character));
  return kept.map(character => is_space(character) ? " " : character).join("");
}

function space_chinese(text) {
  return Array.from(text, character => is_chinese(character) ? ` ${character} ` : character).join("");
}

// Decompose letters with accents (Unicode NFD) and drop the accents.
function strip_accents(text) {
  return text.normalize("NFD").replace(/\p{Mn}/gu, "");
}

// "don't go" becomes "don", "'", "t", "go".
function split_punctuation(text) {
  const spaced = Array.from(text, character => is_punctuation(character) ? ` ${character} ` : character);
  return spaced.join("").split(/\s+/u).filter(word => word);
}

const is_space = character => /[ \t\n\r\p{Zs}]/u.test(character);
const is_dropped = character => /[\p{Cc}\p{Cf}\ufffd]/u.test(character) && !/[\t\n\r]/.test(character);
const is_punctuation = character => /[!-/:-@[-`{-~\p{P}]/u.test(character);
function is_chinese(character) {
  const code = character.codePointAt(0);
  return CHINESE_RANGES.some(([first, last]) => first <= code && code <= last);
}

// Greedy longest match first: the pieces of a word, or [unk_token] if some part of it has no match.
class WordPiece {
  constructor(vocabulary, { unk_token, max_characters_per_word }) {
    Object.assign(this, { vocabulary, unk_token, max_characters_per_word });
    this.max_token_length = Math.max(...Array.from(vocabulary.keys(), token => Array.from(token).length));
  }

  split(word) {
    const characters = Array.from(word), tokens = [];
    if (characters.length > this.max_characters_per_word) return [this.unk_token];
    let start = 0;
    while (start < characters.length) {
      const prefix = start > 0 ? SUBWORD_PREFIX : "";
      let end = Math.min(characters.length, start + this.max_token_length), token = null;
      for (; end > start; end--) {
        token = prefix + characters.slice(start, end).join("");
        if (this.vocabulary.has(token)) break;
      }
      if (end === start) return [this.unk_token];
      tokens.push(token);
      start = end;
    }
    return tokens;
  }
}

// Texts -> what the page shows and the model reads: [CLS] a [SEP], or [CLS] a [SEP] b [SEP].
class Tokenizer {
  constructor(data) {                      // `data.tokenizer` and `data.vocabulary` of playground_page.py
    Object.assign(this, data.tokenizer);
    this.tokens = data.vocabulary;         // id -> token
    this.vocabulary = new Map(data.vocabulary.map((token, id) => [token, id]));
    // A text that spells [CLS] means the letters, so no word may become a special token by itself.
    this.wordpiece = new WordPiece(this.vocabulary, this);
  }

  // One entry for each word of a text: the word, and its pieces. "[MASK]" is the token [MASK].
  words_of(text) {
    const words = [];
    text.split(this.mask_token).forEach((part, number) => {
      if (number) words.push({ word: this.mask_token, pieces: [this.mask_token] });
      for (const word of split_words(part, this)) words.push({ word, pieces: this.wordpiece.split(word) });
    });
    return words;
  }

  // All pieces of one or two texts in one row, the longer text truncated to fit `max_length`.
  encode(text, text_pair, max_length) {
    const texts = [text, text_pair].filter((one, number) => !number || one.trim());
    const parts = texts.map(one => this.words_of(one).flatMap(({ word, pieces }, number) =>
      pieces.map(token => ({ token, word, number }))));
    const room = max_length - 1 - parts.length, [a, b] = [parts[0], parts[1] ?? []];
    const truncated = a.length + b.length > room;
    if (truncated) {                       // as `truncate` in tokenization/truncation.py, longest first
      const kept = Math.min(a.length, b.length, Math.floor(room / 2));
      [a.length, b.length] = a.length <= b.length ? [kept, room - kept] : [room - kept, kept];
    }
    const row = [{ token: this.cls_token, type: 0, special: true }];
    parts.forEach((part, type) => {
      row.push(...part.map(piece => ({ ...piece, type })));
      row.push({ token: this.sep_token, type, special: true });
    });
    row.forEach(piece => { piece.id = this.vocabulary.get(piece.token); });
    return { row, is_pair: parts.length > 1, truncated };
  }
}
