"""15 % of the tokens are picked; of those 80 % become [MASK], 10 % a random word, 10 % stay.

Special tokens are neither picked nor drawn, and the caller's ids stay as they are.
"""

import pytest
import torch
from scipy.stats import binomtest, chisquare

from minibert.data.pretraining.masking import MaskingRates, MaskingVocabulary, mask_tokens
from minibert.tokenization.padding import IGNORE_INDEX
from minibert.tokenization.tokenizer import BertTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"]
WORDS = [f"w{n}" for n in range(60)]
PIECES = [f"##p{n}" for n in range(40)]
TOKENIZER = BertTokenizer({token: i for i, token in enumerate([*SPECIAL, *WORDS, *PIECES])})
VOCABULARY = MaskingVocabulary(TOKENIZER)
PAD, UNK, CLS, SEP, MASK, UNUSED = range(6)
FIRST_WORD, FIRST_PIECE, END = 6, 66, 106


def starts_of(ids):
    """Where words start in an English text."""
    return VOCABULARY.starts_word[ids]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def words(rows=1000, columns=200, seed=0):
    """200,000 tokens that are words, all of them different from their neighbours."""
    return torch.randint(FIRST_WORD, FIRST_PIECE, (rows, columns), generator=generator(seed))


def outcomes(input_ids, **options):
    """How many tokens became [MASK], another word, stayed as they were, and were not picked."""
    shown, labels = mask_tokens(input_ids, VOCABULARY, generator=generator(1), **options)
    picked = labels != IGNORE_INDEX
    masked = picked & (shown == MASK)
    kept = picked & (shown == input_ids)
    counts = [masked, picked & ~masked & ~kept, kept, ~picked]
    return [int(count.sum()) for count in counts]


# The rates, on 200,000 tokens


def test_fifteen_percent_of_the_tokens_are_picked():
    *picked, others = outcomes(words())
    assert binomtest(sum(picked), sum(picked) + others, 0.15).pvalue > 0.001


def test_eighty_ten_and_ten_percent_of_the_picked_are_masked_replaced_and_kept():
    masked, replaced, kept, _ = outcomes(words())
    total = masked + replaced + kept
    # One random word in 100 (60 words, 40 pieces) is by chance the original one.
    expected = [0.8 * total, 0.099 * total, 0.101 * total]
    assert chisquare([masked, replaced, kept], expected).pvalue > 0.001


def test_the_well_known_mistake_of_81_10_9_would_be_noticed():
    wrong = MaskingRates(to_mask=0.81, to_random=0.1, unchanged=0.09)
    masked, replaced, kept, _ = outcomes(words(), rates=wrong)
    total = masked + replaced + kept
    expected = [0.8 * total, 0.099 * total, 0.101 * total]
    assert chisquare([masked, replaced, kept], expected).pvalue < 0.001


def test_every_word_and_piece_is_drawn_equally_often_as_a_random_word():
    ids = words()
    all_random = MaskingRates(picked=1.0, to_mask=0, to_random=1.0, unchanged=0)
    shown, _ = mask_tokens(ids, VOCABULARY, generator=generator(), rates=all_random)
    counts = torch.bincount(shown.flatten(), minlength=END)
    assert chisquare(counts[FIRST_WORD:].numpy()).pvalue > 0.001


def test_whether_a_token_is_picked_says_nothing_about_its_neighbour():
    _, labels = mask_tokens(words(), VOCABULARY, generator=generator())
    picked = labels != IGNORE_INDEX
    both = int((picked[:, 1:] & picked[:, :-1]).sum())
    assert binomtest(both, picked[:, 1:].numel(), 0.15**2).pvalue > 0.001


def test_how_a_token_is_hidden_says_nothing_about_the_next_picked_one():
    everything = MaskingRates(picked=1.0)
    shown, _ = mask_tokens(words(), VOCABULARY, generator=generator(), rates=everything)
    masked = shown == MASK
    both = int((masked[:, 1:] & masked[:, :-1]).sum())
    assert binomtest(both, masked[:, 1:].numel(), 0.8**2).pvalue > 0.001


def test_another_seed_masks_other_places_and_the_same_seed_the_same():
    ids = words(10)
    first, again, other = (
        mask_tokens(ids, VOCABULARY, generator=generator(seed))[1] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    overlap = ((first != IGNORE_INDEX) & (other != IGNORE_INDEX)).float().mean()
    assert 0.01 < overlap < 0.04  # 0.15 squared


# What must not happen


def test_special_tokens_are_never_picked():
    ids = words()
    ids[:, 0], ids[:, 50], ids[:, 99], ids[:, 100:120], ids[:, 120:] = CLS, UNK, SEP, MASK, PAD
    special = VOCABULARY.special[ids]
    for word_starts in (None, starts_of(ids)):
        shown, labels = mask_tokens(
            ids, VOCABULARY, generator=generator(), word_starts=word_starts, rates=MaskingRates(0.9)
        )
        assert (labels[special] == IGNORE_INDEX).all()
        assert torch.equal(shown[special], ids[special])


def test_special_and_unused_tokens_are_never_drawn():
    all_random = MaskingRates(picked=1.0, to_mask=0, to_random=1.0, unchanged=0)
    shown, _ = mask_tokens(words(), VOCABULARY, generator=generator(), rates=all_random)
    assert shown.min() >= FIRST_WORD
    assert not set(VOCABULARY.words.tolist()) & {PAD, UNK, CLS, SEP, MASK, UNUSED}


def test_the_callers_ids_are_not_changed():
    ids = words(20)
    before = ids.clone()
    shown, labels = mask_tokens(ids, VOCABULARY, generator=generator(), rates=MaskingRates(1.0))
    assert torch.equal(ids, before)
    shown.zero_(), labels.zero_()
    assert torch.equal(ids, before)


def test_labels_are_the_original_ids_where_picked_and_nothing_else_changes():
    ids = words()
    shown, labels = mask_tokens(ids, VOCABULARY, generator=generator())
    picked = labels != IGNORE_INDEX
    assert torch.equal(labels[picked], ids[picked])
    assert torch.equal(shown[~picked], ids[~picked])


def test_the_global_random_state_is_left_alone():
    state = torch.random.get_rng_state()
    mask_tokens(words(2), VOCABULARY, generator=generator())
    assert torch.equal(torch.random.get_rng_state(), state)


# Whole words


def text_of_words(rows=500):
    """[CLS], then words of 1, 2, 3 pieces in turn, then [SEP]."""
    row = [CLS]
    for n in range(60):
        row += [FIRST_WORD + n % 60, *range(FIRST_PIECE, FIRST_PIECE + n % 3)]
    return torch.tensor([[*row, SEP]] * rows)


def test_all_pieces_of_a_word_are_picked_or_none():
    ids = text_of_words()
    _, labels = mask_tokens(ids, VOCABULARY, generator=generator(), word_starts=starts_of(ids))
    picked = labels != IGNORE_INDEX
    continues = ~starts_of(ids)
    assert torch.equal(picked[:, 1:][continues[:, 1:]], picked[:, :-1][continues[:, 1:]])
    assert picked.any()
    _, labels = mask_tokens(ids, VOCABULARY, generator=generator())
    picked = labels != IGNORE_INDEX
    assert not torch.equal(picked[:, 1:][continues[:, 1:]], picked[:, :-1][continues[:, 1:]])


def test_whole_words_keep_both_rates():
    ids = text_of_words(2000)  # 240,000 tokens in 120,000 words
    _, labels = mask_tokens(ids, VOCABULARY, generator=generator(1), word_starts=starts_of(ids))
    starts = starts_of(ids) & ~VOCABULARY.special[ids]
    picked_words = int((labels[starts] != IGNORE_INDEX).sum())
    assert binomtest(picked_words, int(starts.sum()), 0.15).pvalue > 0.001
    for pieces in (starts, ~starts_of(ids)):  # first pieces, and the others
        shown, labels = mask_tokens(
            ids, VOCABULARY, generator=generator(1), word_starts=starts_of(ids)
        )
        picked = pieces & (labels != IGNORE_INDEX)
        masked = int((picked & (shown == MASK)).sum())
        kept = int((picked & (shown == ids)).sum())
        total = int(picked.sum())
        expected = [0.8 * total, 0.099 * total, 0.101 * total]
        assert chisquare([masked, total - masked - kept, kept], expected).pvalue > 0.001


def test_the_pieces_of_a_word_are_hidden_each_in_its_own_way():
    # Of words of two pieces, both are [MASK] with 0.8 x 0.8 and not with 0.8.
    ids = torch.tensor([[CLS, *[FIRST_WORD, FIRST_PIECE] * 50, SEP]] * 1000)
    for share in (1.0, 0.15):
        shown, labels = mask_tokens(
            ids,
            VOCABULARY,
            generator=generator(),
            rates=MaskingRates(share),
            word_starts=starts_of(ids),
        )
        masked = (shown == MASK)[labels != IGNORE_INDEX].view(-1, 2)
        both = int(masked.all(dim=1).sum())
        assert binomtest(both, len(masked), 0.8**2).pvalue > 0.001


def test_the_rest_of_a_truncated_word_is_picked_as_often_as_any_other_token():
    # [CLS] ##p0 w0 [SEP] ##p1: the pieces have no first piece that could be picked for them.
    ids = torch.tensor([[CLS, FIRST_PIECE, FIRST_WORD, SEP, FIRST_PIECE + 1]] * 2000)
    _, labels = mask_tokens(ids, VOCABULARY, generator=generator(), word_starts=starts_of(ids))
    shares = (labels != IGNORE_INDEX).float().mean(dim=0)
    assert (shares[[1, 2, 4]] - 0.15).abs().max() < 0.03
    assert shares[[0, 3]].max() == 0


def test_word_starts_of_a_segmenter_are_followed():
    ids = words(2000, 6)
    starts = torch.tensor([[True, False, False, True, False, True]]).expand(2000, -1)
    _, labels = mask_tokens(ids, VOCABULARY, generator=generator(), word_starts=starts)
    picked = labels != IGNORE_INDEX
    assert torch.equal(picked[:, 0], picked[:, 1])
    assert torch.equal(picked[:, 0], picked[:, 2])
    assert torch.equal(picked[:, 3], picked[:, 4])
    assert not torch.equal(picked[:, 2], picked[:, 3])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_masking_works_where_the_batch_is():
    ids = words().cuda()
    vocabulary = MaskingVocabulary(TOKENIZER, ids.device)
    chance = torch.Generator("cuda").manual_seed(0)
    starts = vocabulary.starts_word[ids]
    shown, labels = mask_tokens(ids, vocabulary, generator=chance, word_starts=starts)
    assert shown.device == labels.device == ids.device
    assert 0.14 < (labels != IGNORE_INDEX).float().mean() < 0.16
