import torch

from learn_solutions import right, wrong


@right
def right_1(ids, special, words, mask_id, generator):
    picked = (torch.rand(ids.shape, generator=generator) < 0.15) & ~special[ids]
    fate = torch.rand(ids.shape, generator=generator)
    random = words[torch.randint(len(words), ids.shape, generator=generator)]
    masked = torch.where(picked & (fate < 0.8), mask_id, ids)
    masked = torch.where(picked & (fate >= 0.8) & (fate < 0.9), random, masked)
    return masked, ids.masked_fill(~picked, -100)


@right
def right_2(ids, special, words, mask_id, generator):
    """One draw for everything, in copies that are changed in place."""
    draw = torch.rand(ids.shape, generator=generator)
    draw[special[ids]] = 1.0
    masked, labels = ids.clone(), torch.full_like(ids, -100)
    labels[draw < 0.15] = ids[draw < 0.15]
    to_random = (draw >= 0.12) & (draw < 0.135)
    masked[draw < 0.12] = mask_id
    drawn = torch.randint(len(words), (int(to_random.sum()),), generator=generator)
    masked[to_random] = words[drawn]
    return masked, labels


@right
def right_3(ids, special, words, mask_id, generator):
    """A fixed number for each text, as Google does it, in loops."""
    masked, labels = ids.tolist(), [[-100] * ids.shape[1] for _ in ids]
    for row, text in enumerate(ids.tolist()):
        places = [place for place, token in enumerate(text) if not special[token]]
        order = torch.randperm(len(places), generator=generator).tolist()
        for place in [places[number] for number in order[: round(0.15 * len(places))]]:
            labels[row][place] = text[place]
            fate = float(torch.rand(1, generator=generator))
            if fate < 0.8:
                masked[row][place] = mask_id
            elif fate < 0.9:
                drawn = int(torch.randint(len(words), (1,), generator=generator))
                masked[row][place] = int(words[drawn])
    return torch.tensor(masked), torch.tensor(labels)


def general(ids, special, words, mask_id, generator, *, rate=0.15, masks=0.8, randoms=0.9, **o):
    shape = (1, ids.shape[1]) if o.get("shared") else ids.shape
    picked = (torch.rand(shape, generator=generator) < rate) & ~special[ids]
    fate = torch.rand(ids.shape, generator=generator)
    random = words[torch.randint(len(words), ids.shape, generator=generator)]
    masked = torch.where(picked & (fate < masks), mask_id, ids)
    masked = torch.where(picked & (fate >= masks) & (fate < randoms), random, masked)
    return masked, ids.masked_fill(~picked, o.get("label", -100))


@wrong("80/10/10. None stays as it is or becomes random.")
def masks_only(*arguments):
    return general(*arguments, masks=1.0)


@wrong("None stays as it is.")
def none_unchanged(*arguments):
    return general(*arguments, randoms=1.0)


@wrong("of these, take one half")
def a_tenth_of_the_rest(*arguments):
    return general(*arguments, randoms=0.82)


@wrong("Random words overwrite some [MASK]")
def overwritten(ids, special, words, mask_id, generator):
    masked, labels = general(ids, special, words, mask_id, generator, randoms=0.8)
    again = (labels != -100) & (torch.rand(ids.shape, generator=generator) < 0.1)
    random = words[torch.randint(len(words), ids.shape, generator=generator)]
    return torch.where(again, random, masked), labels


@wrong("is an elif missing?")
def no_elif(*arguments):
    return general(*arguments, masks=0.0)


@wrong("the labels are the wrong way round")
def labels_inverted(ids, *rest):
    masked, labels = general(ids, *rest)
    return masked, ids.masked_fill(labels != -100, -100)


@wrong("of the words are picked; it should be 15 %")
def too_many(*arguments):
    return general(*arguments, rate=0.8)


@wrong("have the label 0; give them -100")
def label_of_padding(*arguments):
    return general(*arguments, label=0)


@wrong("every token has a label")
def all_labelled(ids, *rest):
    return general(ids, *rest)[0], ids.clone()


@wrong("what the model sees (after masking)")
def labels_of_masked(ids, *rest):
    masked, labels = general(ids, *rest)
    return masked, masked.masked_fill(labels == -100, -100)


@wrong("of the labels are [CLS], [SEP] or [PAD]")
def special_picked(ids, special, *rest):
    return general(ids, torch.zeros_like(special), *rest)


@wrong("are changed but have no label")
def labels_of_masks_only(ids, special, words, mask_id, generator):
    masked, _ = general(ids, special, words, mask_id, generator)
    return masked, ids.masked_fill(masked != mask_id, -100)


@wrong("draw them from `words`")
def random_from_all(ids, special, words, mask_id, generator):
    return general(ids, special, torch.arange(100), mask_id, generator)


@wrong("all random tokens are among 1 words")
def one_random_word(ids, special, words, mask_id, generator):
    return general(ids, special, words[7:8], mask_id, generator)


@wrong("the same places are picked in every text")
def same_places(*arguments):
    return general(*arguments, shared=True)


@wrong("pass generator=generator to every draw")
def own_randomness(ids, special, words, mask_id, generator):
    own = torch.Generator()
    own.seed()
    return general(ids, special, words, mask_id, own)


@wrong("another seed gives the same result")
def fixed_seed(ids, special, words, mask_id, generator):
    return general(ids, special, words, mask_id, torch.Generator().manual_seed(0))


@wrong("changes its input")
def in_place(ids, *rest):
    masked, labels = general(ids, *rest)
    ids[:] = masked
    return ids, labels


@wrong("`labels` is torch.bool")
def picked_as_labels(ids, *rest):
    masked, labels = general(ids, *rest)
    return masked, labels != -100
