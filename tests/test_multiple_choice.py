"""What you can rely on: multiple choice goes from any usual file of questions to predicted answers.

Questions may have different numbers of choices; a choice that is missing is never chosen and
changes nothing.
"""

import json
import random
from pathlib import Path

import pytest
import torch
from conftest import shared
from small_models import small_config
from tiny_folders import POSITIONS, pretrained_folder, tiny_config, tiny_tokenizer

from minibert import BertForMultipleChoice, MiniBertError
from minibert.cli.main import main
from minibert.data.labelled.batches import GroupedBatches, Tokenized
from minibert.data.labelled.examples import Example
from minibert.data.labelled.guess_task import guess_task
from minibert.data.labelled.multiple_choice import Question, read_questions, split_by_context
from minibert.evaluation.baselines import choice_baselines
from minibert.inference.multiple_choice import AnswerChooser

C3 = [
    [
        ["男：你去哪儿?", "女：回家。"],
        [{"question": "她去哪儿?", "choice": ["家", "学校"], "answer": "家"}],
        "1",
    ],
    [["他饿了。"], [{"question": "他怎么了?", "choice": ["累", "饿", "渴"], "answer": "饿"}], "2"],
]
DIALOGUE = Question("男：你去哪儿?\n女：回家。", "她去哪儿?", ("家", "学校"), 0)
SUN = Question("A shadow fell.", "cause", ("The sun rose.", "It rained."), 0)


def write(path: Path, content: object) -> Path:
    """Write a text, one JSON value, or for .jsonl a JSON value per line."""
    if isinstance(content, list) and path.suffix == ".jsonl":
        content = "".join(json.dumps(row) + "\n" for row in content)
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path


# Reading


def copa(**changes: object) -> dict[str, object]:
    row = {"premise": "A shadow fell.", "question": "cause", "label": 0}
    return row | {"choice1": "The sun rose.", "choice2": "It rained."} | changes


def listed(**changes: object) -> dict[str, object]:
    row = {"context": "A shadow fell.", "question": "cause", "answer": 0}
    return row | {"choices": ["The sun rose.", "It rained."]} | changes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("copa.jsonl", [copa()]),
        ("list.jsonl", [listed()]),
        ("list.json", [listed(answer="The sun rose.")]),
        ("letters.jsonl", [listed(answer="a"), listed(answer="B")]),
        ("from1.jsonl", [listed(answer=1), listed(answer=2)]),
        ("race.jsonl", [{"article" if k == "context" else k: v for k, v in listed().items()}]),
        ("arc.jsonl", [listed(
            choices={"text": ["The sun rose.", "It rained."], "label": ["1", "2"]}, answer="1"
        )]),
        ("swag.csv", "sent1,sent2,ending0,ending1,label\n"
            "A shadow fell.,cause,The sun rose.,It rained.,0\n"),
        ("ceval.csv", "id,context,question,A,B,answer\n"
            "0,A shadow fell.,cause,The sun rose.,It rained.,A\n"),
        ("short.csv", "premise,question,answerA,answerB,answerC,label\n"
            "A shadow fell.,cause,The sun rose.,It rained.,,0\n"),
        ("tabs.tsv", "premise\tquestion\toption_1\toption_2\tlabel\n"
            "A shadow fell.\tcause\tThe sun rose.\tIt rained.\t0\n"),
    ],
)  # fmt: skip
def test_every_usual_form_of_a_question_is_read(tmp_path, name, content):
    assert read_questions(write(tmp_path / name, content)).questions[0] == SUN


def test_the_lists_of_c3_are_read_with_different_numbers_of_choices(tmp_path):
    path = write(tmp_path / "c3.json", C3)
    first, second = read_questions(path).questions
    assert first == DIALOGUE
    assert (second.choices, second.answer) == (("累", "饿", "渴"), 1)
    assert guess_task(path) == "multiple-choice"


def test_how_answers_are_given_holds_for_all_files_of_a_run(tmp_path):
    train = write(tmp_path / "train.jsonl", [listed(answer=1), listed(answer=2)])
    one = write(tmp_path / "one.jsonl", [listed(answer=1)])
    kind = read_questions(train).kind
    assert kind == "1"
    assert read_questions(one).questions[0].answer == 1  # alone, it counts from 0
    assert read_questions(one, kind=kind).questions[0].answer == 0


def test_a_choice_that_looks_like_a_number_is_not_taken_for_an_index(tmp_path):
    rows = [listed(choices=["1", "2", "3"], answer="3"), listed(choices=["2", "0"], answer="0")]
    found = read_questions(write(tmp_path / "numbers.jsonl", rows)).questions
    assert [question.answer for question in found] == [2, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([listed(), listed(answer=7)], "bad.jsonl:2: the answer '7' is not one of the 2 choices"),
        ([listed(), listed(answer=None)], "bad.jsonl:2: the answer '' is not one of"),
        ([listed(), listed(choices=["one"])], "bad.jsonl:2: a question needs two choices or more"),
        ([listed(choices=["one", " "])], "bad.jsonl:1: a choice is empty or no text"),
        ([listed(choices=["one", ["two"]])], "bad.jsonl:1: a choice is empty or no text"),
        ([listed(choices="one two")], "bad.jsonl:1: a question needs two choices or more"),
        ([listed(context="", question=" ")], "the context and the question are empty"),
        ([listed(context=["a", "b"])], "the context and the question must be texts"),
        ([{"text": "a", "label": "b"}], "no field for the choices"),
        ([copa() | {"premise": None} | {"choice2": ""}], "bad.jsonl:1: a question needs two"),
        ([{k: v for k, v in copa().items() if k != "label"}], "no field for the right choice"),
        ('{"context": "a", "cho', "bad.jsonl:1: not JSON"),
        ("[[1, 2]]", "bad.jsonl:1: not a document like those of C3"),
    ],
)
def test_bad_questions_are_refused_with_their_line(tmp_path, content, message):
    with pytest.raises(MiniBertError, match="bad") as error:
        read_questions(write(tmp_path / "bad.jsonl", content))
    assert message in str(error.value)


def test_a_choice_is_read_with_its_question_beside_the_context():
    assert SUN.pairs()[1] == Example("A shadow fell.", "cause It rained.")
    assert Question("", "Why?", ("a", "b")).pairs()[0] == Example("Why?", "a")


def test_questions_about_one_context_are_held_out_together():
    questions = [Question(f"text {n // 3}", f"question {n}?", ("a", "b"), 0) for n in range(60)]
    kept, held_out = split_by_context(questions, fraction=0.1, seed=1)
    assert len(held_out) == 6
    assert len(kept) + len(held_out) == 60
    assert not {q.context for q in kept} & {q.context for q in held_out}
    assert split_by_context(questions, fraction=0.1, seed=1) == (kept, held_out)
    with pytest.raises(MiniBertError, match="one context"):
        split_by_context(questions[:3], fraction=0.1, seed=1)


# Batches and the model


def test_missing_choices_are_padding():
    ids = [[1, 2], [1, 3, 2], [1, 4, 5, 2]]
    texts = Tokenized(ids, [[0] * len(row) for row in ids], [2, 3, 4])
    batches = GroupedBatches(texts, [1, 0], counts=[2, 1], pad_token_id=9)
    batch = batches.collate([0, 1])
    assert batch["input_ids"].tolist() == [
        [[1, 2, 9, 9], [1, 3, 2, 9]],
        [[1, 4, 5, 2], [9, 9, 9, 9]],
    ]
    assert batch["attention_mask"].sum(dim=-1).tolist() == [[2, 3], [4, 0]]
    assert batch["labels"].tolist() == [1, 0]
    assert len(batches) == 1


@pytest.mark.parametrize("attention", ["auto", "eager"])
def test_a_missing_choice_is_never_chosen_and_changes_nothing(attention):
    torch.manual_seed(0)
    model = BertForMultipleChoice(small_config()).eval()
    model.attention = attention
    ids = torch.randint(1, 50, (3, 2, 6))
    mask, labels = torch.ones_like(ids), torch.tensor([0, 1, 1])
    alone = model(ids, attention_mask=mask, labels=labels)
    alone.loss.backward()
    gradient = model.bert.embeddings.word_embeddings.weight.grad.clone()
    model.zero_grad()
    wide = [torch.cat([tensor, torch.zeros_like(tensor)], dim=1) for tensor in (ids, mask)]
    with_missing = model(wide[0], attention_mask=wide[1], labels=labels)
    with_missing.loss.backward()
    torch.testing.assert_close(with_missing.logits[:, :2], alone.logits)
    assert (with_missing.logits.softmax(dim=1)[:, 2:] == 0).all()
    torch.testing.assert_close(with_missing.loss, alone.loss)
    torch.testing.assert_close(model.bert.embeddings.word_embeddings.weight.grad, gradient)


def test_baselines_take_the_usual_place_and_the_choice_with_shared_words():
    train = [Question("a", "", ("x", "y"), 1), Question("b", "", ("x", "y"), 1)]
    dev = [
        Question("the cat sat", "", ("the cat", "a dog"), 0),  # the first shares two words
        Question("the cat sat", "", ("red", "a dog", "the mat"), 1),  # overlap: the third
    ]
    scores = choice_baselines({"train": train, "dev": dev})
    assert scores == {"dev": {"majority": 0.5, "word_overlap": 0.5}}


# From a file to predictions


def toy_questions(count: int, seed: int) -> list[dict[str, object]]:
    """Two or three choices, of which the one with a cat is right."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        wrong = draw.sample(["paris is", "the mat", "france"], draw.choice([1, 2]))
        choices = draw.sample([*wrong, "the cat sat"], len(wrong) + 1)
        answer = choices.index("the cat sat")
        context = draw.choice(["on a mat", "the capital", "a cat"])
        rows.append({"context": context, "choices": choices, "answer": answer})
    return rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `minibert finetune` has written."""
    folder = tmp_path_factory.mktemp("choice")
    write(folder / "train.jsonl", toy_questions(96, seed=1))
    write(folder / "dev.jsonl", toy_questions(32, seed=2))
    run = ["finetune", "--train", folder / "train.jsonl", "--dev", folder / "dev.jsonl"]
    run += ["--model", pretrained_folder(folder / "start"), "--output", folder / "run"]
    run += ["--epochs", "12", "--learning-rate", "5e-3"]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in run])
    assert ended.value.code == 0
    return folder


def test_finetune_learns_questions_and_writes_scores_beside_baselines(trained):
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert metrics["dev"]["accuracy"] > 0.95
    assert {"majority", "word_overlap", "split"} <= set(metrics["baselines"])
    assert metrics["baselines"]["majority"] < 0.8
    assert (trained / "run" / "learning_curve.png").is_file()


def test_a_saved_folder_answers_as_before_and_evaluates_as_in_training(trained):
    chooser = AnswerChooser.from_pretrained(trained / "run")
    questions = read_questions(trained / "dev.jsonl").questions
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert chooser.evaluate(questions)["accuracy"] == metrics["dev"]["accuracy"]
    chooser.save_pretrained(trained / "again")
    again = AnswerChooser.from_pretrained(trained / "again")
    assert again.predict(questions) == chooser.predict(questions)
    one_by_one = [chooser(q.context, q.choices) for q in questions]
    assert [p.index for p in one_by_one] == [p.index for p in chooser.predict(questions)]


def test_probabilities_are_those_of_the_choices_of_one_question():
    torch.manual_seed(0)
    model = BertForMultipleChoice(tiny_config()).eval()
    chooser = AnswerChooser(model, tiny_tokenizer(), POSITIONS)
    two = Question("the cat", "", ("a mat", "paris"))
    three = Question("the cat", "", ("a mat", "paris", "on a mat " * 9))
    short, long = chooser.predict([two, three])
    assert [len(p.probabilities) for p in (short, long)] == [2, 3]
    assert sum(short.probabilities) == pytest.approx(1) == sum(long.probabilities)
    assert short.choice == two.choices[short.index]
    assert (short.truncated, long.truncated) == (False, True)


def test_predict_prints_the_choice_and_writes_files(trained, capsys, tmp_path):
    run = str(trained / "run")

    def minibert(*words: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code, *capsys.readouterr()

    choices = ("--choice", "paris is", "--choice", "the cat sat")
    code, out, _ = minibert("predict", run, "on a mat", *choices)
    assert (code, out.startswith("2: the cat sat  (0.")) == (0, True)
    code, out, _ = minibert("predict", run, "--question", "on a mat", *choices, "--json")
    assert json.loads(out)["choice"] == "the cat sat"
    for suffix in ("csv", "jsonl"):
        output = tmp_path / f"out.{suffix}"
        code, _, err = minibert("predict", run, "--file", trained / "dev.jsonl", "--output", output)
        assert code == 0, err
        rows = output.read_text().splitlines()
        assert len(rows) == 32 + (suffix == "csv")
    assert json.loads(rows[0])["probabilities"][json.loads(rows[0])["index"]] > 0.5
    code, out, _ = minibert("evaluate", run, trained / "dev.jsonl")
    assert (code, "accuracy" in out) == (0, True)
    for words in (
        ("predict", run, "on a mat"),
        ("predict", run, "on a mat", "--choice", "one"),
        ("predict", run, "--choice", "one", "--choice", "two"),
        ("predict", run, "on a mat", *choices, "--file", trained / "dev.jsonl"),
        ("predict", run, "on a mat", *choices, "--pair", "b"),
        ("evaluate", run, trained / "dev.jsonl", "--figure", "f.png"),
        ("finetune", "--task", "multiple-choice"),
        ("finetune", "--train", trained / "dev.jsonl", "--few-labels", "9"),
    ):
        code, out, err = minibert(*words)
        assert code == 2, words
        assert err.startswith("error: "), words


def test_real_questions_are_read(tmp_path):
    questions = read_questions(shared("data/copa/train.jsonl")).questions
    assert (len(questions), {len(q.choices) for q in questions}) == (368, {2})
    questions = read_questions(shared("data/c3/dev.json")).questions
    assert (len(questions), {len(q.choices) for q in questions}) == (3816, {2, 3, 4})
