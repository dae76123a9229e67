"""Fine-tune BERT to answer questions: it finds the part of a text that answers (as in SQuAD).

python examples/finetune_qa.py --train train-v1.1.json --dev dev-v1.1.json --model bert-base-uncased
"""

from minibert.cli.process import run

import argparse

from minibert import MiniBertError
from minibert.cli.finetune import add_arguments, finetune, start_run
from minibert.cli.shared import Parser, requested_weights
from minibert.files import shell_path

SMALL = 512  # hidden width; smaller models have read too little to answer well


def main(options: argparse.Namespace) -> None:
    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert import BertForQuestionAnswering
    from minibert.data.labelled.question_answering import read_question_sets
    from minibert.data.labelled.question_windows import QuestionBatches, make_windows
    from minibert.evaluation.question_answering import (
        METRIC_FOR_BEST_MODEL,
        baseline_scores,
        evaluate_answers,
    )
    from minibert.inference.question_answering import TASK, AnswerSettings, QuestionAnswerer
    from minibert.plots.report import write_scores
    from minibert.training.finetune_setup import DEFAULT_WEIGHTS_FOR_PAIRS, setup_finetuning

    output, device = start_run(options, TASK)
    if options.train is None:
        raise MiniBertError("question answering needs a file of questions and answers: --train.")

    # Data: questions, contexts and answers, and the scores of simple baselines on them.
    how = {name: getattr(options, name) for name in ("encoding", "dev_share", "seed")}
    splits, note = read_question_sets(options.train, options.dev, options.test, **how)
    print(note)
    held_out = [name for name in splits if name != "train"]
    baselines = {name: baseline_scores(splits[name]) for name in held_out}

    # Model and tokenizer: pretrained, or random weights with a vocabulary learned from the texts.
    asked = requested_weights(options)
    asked["defaults"] = DEFAULT_WEIGHTS_FOR_PAIRS
    examples = splits["train"]
    texts = [*dict.fromkeys(e.context for e in examples), *(e.question for e in examples)]
    setup = setup_finetuning(BertForQuestionAnswering, texts, **asked)
    print(setup.note)
    model, tokenizer = setup.model, setup.tokenizer
    if model.config.hidden_size < SMALL:
        print("note: answering questions needs a larger --model, such as bert-base-uncased.")

    # Windows: long contexts are split into parts that overlap.
    max_length = min(options.max_length, model.config.max_position_embeddings)
    threshold = options.null_threshold
    if threshold is None and not all(example.answers for example in examples):
        threshold = 0.0  # as in Google's code
    doc_stride = options.doc_stride or max_length // 3
    sizes = {"max_length": max_length, "doc_stride": doc_stride}
    batches = {}
    for name, questions in splits.items():
        windows = make_windows(tokenizer, questions, **sizes)
        print(f"{name}: {windows.describe()}")
        batches[name] = QuestionBatches(
            windows,
            windows.targets,
            pad_token_id=tokenizer.pad_token_id,
            batch_size=options.batch_size,
            seed=options.seed,
        )

    # Training: the loop is in minibert/training/loop.py.
    def evaluate(name: str = "dev") -> dict[str, float]:
        return evaluate_answers(model, batches[name], splits[name], null_threshold=threshold)

    finetune(
        options,
        model,
        batches,
        pretrained=setup.pretrained,
        folder=output / "training",
        device=device,
        evaluate=evaluate,
        metric_for_best_model=METRIC_FOR_BEST_MODEL,
    )

    # A folder for predictions, with scores and plots.
    settings = AnswerSettings(**sizes, null_threshold=threshold)
    QuestionAnswerer(model, tokenizer, settings).save_pretrained(output)
    metrics = {name: evaluate(name) for name in held_out}
    write_scores(output, metrics, metric=METRIC_FOR_BEST_MODEL, baselines=baselines)
    print(f'\ntry it:  minibert predict {shell_path(output)} --context "a text" --question "..."')


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_arguments(parser)
    run(lambda: main(parser.parse_args()))
