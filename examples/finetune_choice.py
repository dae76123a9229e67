"""Fine-tune BERT to choose the right answer to a question: COPA, SWAG, C3.

python examples/finetune_choice.py --train train.jsonl --dev dev.jsonl --model bert-base-uncased

Each choice is a pair of texts, the context and the question with the choice. BERT gives it a score,
and a softmax over the scores of one question gives the probabilities.
"""

from minibert.cli.process import run

import argparse

from minibert import MiniBertError
from minibert.cli.finetune import add_arguments, finetune, start_run
from minibert.cli.shared import Parser, requested_weights
from minibert.files import shell_path


def main(options: argparse.Namespace) -> None:
    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert import BertForMultipleChoice
    from minibert.data.labelled.batches import describe_lengths
    from minibert.data.labelled.multiple_choice import read_question_sets
    from minibert.evaluation.baselines import choice_baselines
    from minibert.evaluation.classification import evaluate_choices
    from minibert.inference.multiple_choice import AnswerChooser
    from minibert.plots.report import write_scores
    from minibert.training.finetune_setup import DEFAULT_WEIGHTS_FOR_PAIRS, setup_finetuning

    output, device = start_run(options, "multiple-choice")
    if options.train is None:
        raise MiniBertError("give the questions to train on: --train FILE.")

    # Data: questions with their choices, and the scores of simple baselines on them.
    how = {name: getattr(options, name) for name in ("encoding", "dev_share", "seed")}
    questions, kind, notes = read_question_sets(options.train, options.dev, options.test, **how)
    print("\n".join(notes))
    baselines = choice_baselines(questions)

    # Model and tokenizer: pretrained, or random weights with a vocabulary learned from the texts.
    asked = requested_weights(options)
    asked["defaults"] = DEFAULT_WEIGHTS_FOR_PAIRS
    pairs = [pair for question in questions["train"] for pair in question.pairs()]
    texts = [f"{pair.text} {pair.text_pair}" for pair in pairs]
    setup = setup_finetuning(BertForMultipleChoice, texts, **asked)
    print(setup.note)
    model = setup.model
    max_length = min(options.max_length, model.config.max_position_embeddings)
    chooser = AnswerChooser(model, setup.tokenizer, max_length, kind)
    sizes = {"batch_size": options.batch_size, "seed": options.seed}
    batches = {
        name: chooser.batches(some, labelled=True, **sizes) for name, some in questions.items()
    }
    print(describe_lengths(batches["train"].texts.full_lengths, max_length=max_length))

    # Training: the loop is in minibert/training/loop.py.
    finetune(
        options,
        model,
        batches,
        pretrained=setup.pretrained,
        folder=output / "training",
        device=device,
        evaluate=lambda: evaluate_choices(model, batches["dev"]),
        metric_for_best_model="accuracy",
    )

    # A folder for predictions, with scores and the learning curve.
    chooser.save_pretrained(output)
    metrics = {name: evaluate_choices(model, batches[name]) for name in baselines}
    write_scores(output, metrics, metric="accuracy", baselines=baselines)
    example = (
        f'{shell_path(output)} "It rained." --choice "The street is wet." --choice "It snowed."'
    )
    print(f"\ntry it:  minibert predict {example}")


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_arguments(parser)
    run(lambda: main(parser.parse_args()))
