from itertools import pairwise

import torch

from learn_solutions import right, wrong

SCORE, PARTITION, VITERBI = "score", "log_partition", "viterbi"


@right
def right_1_of_score(emissions, tags, transitions, start, end):
    total = start[tags[0]] + end[tags[-1]]
    for place, tag in enumerate(tags):
        total = total + emissions[place, tag]
        if place > 0:
            total = total + transitions[tags[place - 1], tag]
    return total


@right
def right_2_of_score(emissions, tags, transitions, start, end):
    tags = torch.tensor(tags)
    of_words = emissions.gather(1, tags[:, None]).sum()
    return start[tags[0]] + of_words + transitions[tags[:-1], tags[1:]].sum() + end[tags[-1]]


@right
def right_3_of_score(emissions, tags, transitions, start, end):
    pairs = pairwise(tags)
    total = float(start[tags[0]] + end[tags[-1]]) + sum(float(transitions[a, b]) for a, b in pairs)
    return total + sum(float(row[tag]) for row, tag in zip(emissions, tags, strict=True))


@right
def right_1_of_log_partition(emissions, transitions, start, end):
    alpha = start + emissions[0]
    for row in emissions[1:]:
        alpha = (alpha[:, None] + transitions).logsumexp(0) + row
    return (alpha + end).logsumexp(0)


@right
def right_2_of_log_partition(emissions, transitions, start, end):
    """Backwards."""
    beta = end
    for row in emissions[1:].flip(0):
        beta = (transitions + row + beta).logsumexp(1)
    return torch.logsumexp(start + emissions[0] + beta, 0)


@right
def right_3_of_log_partition(emissions, transitions, start, end):
    """Scaled probabilities in double precision."""
    alpha, log = (start + emissions[0]).double(), 0.0
    for row in emissions[1:]:
        log, alpha = log + alpha.max(), (alpha - alpha.max()).exp()
        alpha = (alpha @ transitions.double().exp()).log() + row
    return (log + (alpha + end).logsumexp(0)).float()


@right
def right_1_of_viterbi(emissions, transitions, start, end):
    best, back = start + emissions[0], []
    for row in emissions[1:]:
        best, came_from = (best[:, None] + transitions).max(0)
        best = best + row
        back.append(came_from)
    tags = [int((best + end).argmax())]
    for came_from in reversed(back):
        tags.append(int(came_from[tags[-1]]))
    return tags[::-1]


@right
def right_2_of_viterbi(emissions, transitions, start, end):
    """Keep the whole path for each tag."""
    count = len(start)
    paths = [([tag], float(start[tag] + emissions[0, tag])) for tag in range(count)]
    for row in emissions[1:]:
        paths = [
            max(
                (
                    ([*path, tag], score + float(transitions[path[-1], tag] + row[tag]))
                    for path, score in paths
                ),
                key=lambda found: found[1],
            )
            for tag in range(count)
        ]
    return max(paths, key=lambda found: found[1] + float(end[found[0][-1]]))[0]


@right
def right_3_of_viterbi(emissions, transitions, start, end):
    """From the right, as a tensor."""
    best, choices = end, []
    for row in emissions[1:].flip(0):
        best, choice = (transitions + row + best).max(1)
        choices.append(choice)
    tags = [(start + emissions[0] + best).argmax()]
    for choice in reversed(choices):
        tags.append(choice[tags[-1]])
    return torch.stack(tags)


@wrong("transitions is used the wrong way round", of=SCORE)
def transposed_score(emissions, tags, transitions, start, end):
    return right_2_of_score(emissions, tags, transitions.T, start, end)


@wrong("the scores of the last tag (end) are missing", of=SCORE)
def score_without_end(emissions, tags, transitions, start, end):
    return right_2_of_score(emissions, tags, transitions, start, 0 * end)


@wrong("the emissions of the first word are missing", of=SCORE)
def score_from_the_second(emissions, tags, transitions, start, end):
    return right_2_of_score(emissions, tags, transitions, start, end) - emissions[0, tags[0]]


@wrong("this is the score of the best sequence", of=PARTITION)
def best_score(emissions, transitions, start, end):
    alpha = start + emissions[0]
    for row in emissions[1:]:
        alpha = (alpha[:, None] + transitions).max(0).values + row
    return (alpha + end).max()


@wrong("alpha + transitions adds alpha to the columns", of=PARTITION)
def to_the_columns(emissions, transitions, start, end):
    alpha = start + emissions[0]
    for row in emissions[1:]:
        alpha = (alpha + transitions + row).logsumexp(0)
    return (alpha + end).logsumexp(0)


@wrong("sum over the tag before", of=PARTITION)
def wrong_axis(emissions, transitions, start, end):
    alpha = start + emissions[0]
    for row in emissions[1:]:
        alpha = (alpha[:, None] + transitions).logsumexp(1) + row
    return (alpha + end).logsumexp(0)


@wrong("this is Z; return its logarithm", of=PARTITION)
def no_log(*arguments):
    return right_1_of_log_partition(*arguments).exp()


@wrong("e to their power overflows", of=PARTITION)
def overflowing(emissions, transitions, start, end):
    alpha = (start + emissions[0]).exp()
    for row in emissions[1:]:
        alpha = alpha @ transitions.exp() * row.exp()
    return (alpha @ end.exp()).log()


@wrong(
    "the scores of the first tag (start) are missing. Also, the scores of the last", of=PARTITION
)
def neither_start_nor_end(emissions, transitions, start, end):
    return right_1_of_log_partition(emissions, transitions, 0 * start, 0 * end)


@wrong("`log_partition(...)` has the shape (2,), and () is right", of=PARTITION)
def not_summed(emissions, transitions, start, end):
    alpha = start + emissions[0]
    for row in emissions[1:]:
        alpha = (alpha[:, None] + transitions).logsumexp(0) + row
    return alpha + end


@wrong("each word takes its own best tag", of=VITERBI)
def greedy(emissions, transitions, start, end):
    return [int((emissions[0] + start).argmax()), *emissions[1:].argmax(1).tolist()]


@wrong("each word takes its own best tag", of=VITERBI)
def greedy_without_start(emissions, transitions, start, end):
    return emissions.argmax(1).tolist()


@wrong("what comes later can change it", of=VITERBI)
def left_to_right(emissions, transitions, start, end):
    tags = [int((start + emissions[0]).argmax())]
    for row in emissions[1:]:
        tags.append(int((transitions[tags[-1]] + row).argmax()))
    return tags


@wrong("follow back from where the last tag came", of=VITERBI)
def no_way_back(emissions, transitions, start, end):
    best = start + emissions[0]
    tags = [int(best.argmax())]
    for row in emissions[1:]:
        best = (best[:, None] + transitions).max(0).values + row
        tags.append(int(best.argmax()))
    return [*tags[:-1], int((best + end).argmax())]


@wrong("the sequence is in reverse order", of=VITERBI)
def reverse_order(*arguments):
    return right_1_of_viterbi(*arguments)[::-1]


@wrong("the scores of the last tag (end) are missing", of=VITERBI)
def viterbi_without_end(emissions, transitions, start, end):
    return right_1_of_viterbi(emissions, transitions, start, 0 * end)
