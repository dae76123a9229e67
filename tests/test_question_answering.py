"""What you can rely on: question answering from files of questions to predicted answers.

Answers are found where they are, windows cover every token, the best span wins, scores are those of
the official scripts, and a saved folder answers as the trained model did.
"""

import json
import math
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import shared
from tiny_folders import (
    POSITIONS,
    classifier_folder,
    pretrained_folder,
    tiny_config,
    tiny_tokenizer,
)

from minibert import BertForQuestionAnswering, BertTokenizer, MiniBertError
from minibert.cli.main import main
from minibert.data.labelled.guess_task import guess_task
from minibert.data.labelled.question_answering import (
    GoldAnswer,
    QuestionExample,
    read_question_sets,
    read_questions,
)
from minibert.data.labelled.question_windows import (
    QuestionBatches,
    make_windows,
    window_spans,
)
from minibert.evaluation.question_answering import (
    answer_scores,
    answer_words,
    baseline_answers,
    best_spans,
    predict_answers,
)
from minibert.inference.load import saved_task
from minibert.inference.question_answering import AnswerSettings, QuestionAnswerer

CONTEXT = "The cat sat on the mat. Paris is the capital of France."


def squad(*paragraphs: tuple[str, list[dict]]) -> dict:
    content = [{"context": context, "qas": questions} for context, questions in paragraphs]
    return {"version": "1.1", "data": [{"title": "x", "paragraphs": content}]}


def ask(question: str, *answers: tuple[str, int], identity: str = "q", **fields) -> dict:
    given = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": identity, "question": question, "answers": given, **fields}


def write(path: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path


def answerer(seed: int = 0, **settings) -> QuestionAnswerer:
    torch.manual_seed(seed)
    model = BertForQuestionAnswering(tiny_config()).eval()
    sizes = {"max_length": POSITIONS, "doc_stride": 4} | settings
    return QuestionAnswerer(model, tiny_tokenizer(), AnswerSettings(**sizes))


# Reading


FORMS = {
    "squad.json": json.dumps(squad((CONTEXT, [ask("Where?", ("the mat", 15))]))),
    "huggingface.jsonl": json.dumps(
        {
            "id": "q",
            "context": CONTEXT,
            "question": "Where?",
            "answers": {"text": ["the mat"], "answer_start": [15]},
        }
    ),
    "list.json": json.dumps(
        [{"id": "q", "context": CONTEXT, "question": "Where?", "answers": ["the mat"]}]
    ),
    "rows.csv": f'id,Question,CONTEXT,Answer,answer_start\nq,Where?,"{CONTEXT}",the mat,15\n',
    "rows.tsv": f"id\tquestion\tcontext\tanswer\nq\tWhere?\t{CONTEXT}\tthe mat\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_all_forms_of_files_give_the_same_question(tmp_path: Path, name: str):
    file = write(tmp_path / name, FORMS[name])
    examples, note = read_questions(file)
    (example,) = examples
    assert guess_task(file) == ("question-answering" if name != "rows.tsv" else None)
    assert (example.id, example.question, example.context) == ("q", "Where?", CONTEXT)
    assert example.answers == (GoldAnswer("the mat", 15),)
    assert example.span == (15, 22)
    assert note.startswith(f"{tmp_path / name}: 1 questions about 1 contexts.")


def test_questions_without_an_answer_are_read_in_every_form(tmp_path: Path):
    impossible = ask("Who?", ("cat", 4), is_impossible=True)
    file = write(tmp_path / "v2.json", squad((CONTEXT, [impossible, ask("When?")])))
    assert [e.answers for e in read_questions(file)[0]] == [(), ()]
    assert "2 of them without an answer" in read_questions(file)[1]
    rows = [
        {"context": CONTEXT, "question": "Who?", "answers": {"text": [], "answer_start": []}},
        {"context": CONTEXT, "question": "When?", "answers": [], "is_impossible": True},
    ]
    file = write(tmp_path / "v2.jsonl", "\n".join(map(json.dumps, rows)))
    assert [e.answers for e in read_questions(file)[0]] == [(), ()]
    file = write(tmp_path / "v2.csv", f"context,question,answer\n{CONTEXT},Who?,\n")
    assert [e.answers for e in read_questions(file)[0]] == [()]


def test_a_wrong_offset_moves_to_the_nearest_occurrence_and_is_counted(tmp_path: Path):
    context = "cat dog cat dog cat"
    starts = {9: 8, 8: 8, 7: 8, 1: 0, 100: 16, 15: 16, 12: 8}
    questions = [ask("?", ("cat", start), identity=str(start)) for start in starts]
    examples, note = read_questions(write(tmp_path / "off.json", squad((context, questions))))
    assert [example.answers[0].start for example in examples] == list(starts.values())
    assert "6 answers had a wrong offset" in note


def test_an_answer_that_is_not_in_its_context_is_scored_but_not_trained_on(tmp_path: Path):
    questions = [ask("a?", ("cat", 4)), ask("b?", ("Paris", 24)), ask("c?", ("a dog", 4))]
    more = ("A dog.", [ask("d?", ("dog", 2))])
    file = write(tmp_path / "lost.json", squad((CONTEXT, questions), more))
    examples, note = read_questions(file)
    assert (examples[2].span, examples[2].answers[0].text) == (None, "a dog")
    assert "1 answers are not in their contexts" in note
    splits, _ = read_question_sets(file, file, None, dev_share=0.5, seed=0)
    assert [len(splits[name]) for name in ("train", "dev")] == [3, 4]


BAD = {
    "cut.json": (json.dumps(squad((CONTEXT, [ask("?", ("cat", 4))])))[:-20], "not JSON"),
    "empty.json": (squad(), "holds no questions"),
    "qas.json": (
        {"data": [{"paragraphs": [{"context": "x"}]}]},
        r'data\[0\].paragraphs\[0\] has no list "qas"',
    ),
    "question.json": (
        squad((CONTEXT, [ask("  ", ("cat", 4))])),
        r"paragraphs\[0\].qas\[0\]: the question is no text",
    ),
    "context.json": (squad(("", [ask("?", ("cat", 4))])), "the context is missing"),
    "answers.json": (
        {"data": [{"paragraphs": [{"context": "x", "qas": [{"question": "?"}]}]}]},
        r"qas\[0\]: the answers are not of the form",
    ),
    "start.json": (squad((CONTEXT, [ask("?", ("cat", "four"))])), "the answers are not of the"),
    "infinite.json": (squad((CONTEXT, [ask("?", ("cat", math.inf))])), "the answers are not of"),
    "number.json": (squad((CONTEXT, [ask("?", (7, 4))])), "the answers are not of the form"),
    "most.json": (
        squad((CONTEXT, [ask("?", ("dog", 4)), ask("?", ("cat", 4)), ask("?", ("dog", 4))])),
        r"2 of 3 answers are not in their contexts, such as 'dog' \(most.json:data\[0\]",
    ),
    "columns.csv": ("text1,label\nx,y\n", "has no column for the context and the question"),
    "line.jsonl": (
        json.dumps({"context": "x", "question": ["y"], "answers": []}),
        "line.jsonl:1: the question is no text",
    ),
    "lengths.jsonl": (
        json.dumps(
            {"context": "x", "question": "y", "answers": {"text": ["x"], "answer_start": [0, 1]}}
        ),
        "lengths.jsonl:1: the answers are not",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_unfit_files_are_refused_with_the_place(tmp_path: Path, name: str):
    content, message = BAD[name]
    with pytest.raises(MiniBertError, match=message):
        read_questions(write(tmp_path / name, content))


def test_a_dev_set_is_split_off_by_context(tmp_path: Path):
    paragraphs = [
        (f"context {n} cat", [ask(f"{k}?", ("cat", 10)) for k in range(3)]) for n in range(9)
    ]
    file = write(tmp_path / "train.json", squad(*paragraphs))
    splits, notes = read_question_sets(file, None, None, dev_share=0.3, seed=1)
    contexts = {name: {e.context for e in some} for name, some in splits.items()}
    assert (len(splits["train"]), len(splits["dev"])) == (18, 9)
    assert not contexts["train"] & contexts["dev"]
    assert "3 of 9 contexts are held out" in notes
    assert splits == read_question_sets(file, None, None, dev_share=0.3, seed=1)[0]
    with pytest.raises(MiniBertError, match="cannot be held out"):
        read_question_sets(file, None, None, dev_share=1.0, seed=1)
    assert (
        "9 contexts of the training file are also in"
        in (read_question_sets(file, file, None, dev_share=0.3, seed=1)[1])
    )


# Windows


def test_windows_cover_every_token_and_each_has_its_maximum_context_once():
    for length in (1, 2, 5, 7, 8, 9, 30):
        for size, stride in ((4, 2), (4, 4), (4, 9), (5, 1), (7, 3)):
            spans = list(window_spans(length, size, stride))
            assert spans[0][0] == 0
            assert spans[-1][1] == length
            assert all(end - begin <= size for begin, end, _ in spans)
            owners = np.zeros(length, dtype=int)
            for begin, end, mask in spans:
                owners[begin:end] += mask
            assert owners.tolist() == [1] * length
            # Google's loop, for a token after the other
            for token in range(length):
                scores = [
                    min(token - begin, end - 1 - token) + 0.01 * (end - begin)
                    if begin <= token < end
                    else -1
                    for begin, end, _ in spans
                ]
                begin, _, mask = spans[int(np.argmax(scores))]
                assert mask[token - begin]


def test_targets_are_the_tokens_of_the_answer_or_cls_in_windows_without_it():
    tokenizer = tiny_tokenizer()
    example = QuestionExample("a cat", CONTEXT, (GoldAnswer("the mat", 15),))
    windows = make_windows(tokenizer, [example], max_length=11, doc_stride=3)
    shown = [tokenizer.convert_ids_to_tokens(ids.tolist()) for ids in windows.input_ids]
    assert shown[0] == "[CLS] a cat [SEP] the cat sat on the mat [SEP]".split()
    found = [
        tokens[start : end + 1] for tokens, (start, end) in zip(shown, windows.targets, strict=True)
    ]
    assert found == [["the", "mat"], ["the", "mat"], ["[CLS]"], ["[CLS]"]]
    assert windows.token_type_ids[0].tolist() == [0] * 4 + [1] * 7
    for first, offsets, tokens in zip(windows.first, windows.offsets, shown, strict=True):
        texts = [CONTEXT[start:end].lower() for start, end in offsets]
        assert texts == tokens[first:-1]


def test_a_long_question_is_truncated_and_leaves_room_for_the_context():
    example = QuestionExample("cat " * 90, CONTEXT)
    windows = make_windows(tiny_tokenizer(), [example], max_length=12, doc_stride=4)
    assert set(windows.first) == {6}
    assert max(map(len, windows.input_ids)) == 12
    with pytest.raises(MiniBertError, match="--max-length 8 or more"):
        make_windows(tiny_tokenizer(), [example], max_length=7, doc_stride=4)


FILES = ("xquad/xquad.en.json", "xquad/xquad.zh.json", "covidqa/200423_covidQA.json")


@pytest.mark.parametrize("name", FILES)
def test_real_answers_are_found_in_windows_by_their_characters(name: str):
    examples, note = read_questions(shared(f"data/{name}"))
    assert ("234 answers had a wrong offset" in note) == name.startswith("covidqa")
    tokenizer = BertTokenizer.from_pretrained("weights/mini")
    windows = make_windows(tokenizer, examples[:40], max_length=384, doc_stride=128)
    answered = set()
    for number, (start, end) in enumerate(windows.targets):
        example = examples[windows.example[number]]
        first, offsets = windows.first[number], windows.offsets[number]
        if end:
            answered.add(windows.example[number])
            answer = example.context[offsets[start - first, 0] : offsets[end - first, 1]]
            gold = example.answers[0].text
            assert gold.strip() in answer
            assert len(answer) < len(gold) + 20  # the rest of a word
    assert answered == set(range(40))


# Decoding


def test_the_best_span_of_a_window_is_that_of_brute_force():
    random = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 6, 9, generator=random)
    start[:, 5] = end[:, 2] = -math.inf
    scores, starts, ends = best_spans(start, end, n_best=5, max_answer_length=4)
    for row in range(6):
        spans = [(s, e) for s in range(9) for e in range(s, min(9, s + 4))]
        expected = sorted(spans, key=lambda span: -(start[row, span[0]] + end[row, span[1]]))
        assert list(zip(starts[row].tolist(), ends[row].tolist(), strict=True)) == expected[:5]
        sums = [(start[row, s] + end[row, e]).item() for s, e in expected[:5]]
        assert scores[row].tolist() == pytest.approx(sums)


def brute_force(answers: QuestionAnswerer, question: str, context: str) -> list[tuple[str, float]]:
    """Google's loops: each window alone, each start with its maximum context, each end."""
    tokenizer, settings = answers.tokenizer, answers.settings
    windows = make_windows(
        tokenizer,
        [QuestionExample(question, context)],
        max_length=settings.max_length,
        doc_stride=settings.doc_stride,
    )
    scored: dict[str, float] = {}
    for ids, types, first, offsets, mask in zip(
        windows.input_ids,
        windows.token_type_ids,
        windows.first,
        windows.offsets,
        windows.max_context,
        strict=True,
    ):
        inputs = [torch.tensor(part)[None].long() for part in (ids, types)]
        with torch.no_grad():
            outputs = answers.model(inputs[0], token_type_ids=inputs[1])
        start, end = outputs.start_logits[0].tolist(), outputs.end_logits[0].tolist()
        for s in range(len(mask)):
            for e in range(s, min(len(mask), s + settings.max_answer_length)):
                if mask[s]:
                    text = context[offsets[s][0] : offsets[e][1]]
                    score = start[first + s] + end[first + e]
                    scored[text] = max(score, scored.get(text, -math.inf))
    return sorted(scored.items(), key=lambda item: -item[1])


def test_the_n_best_over_windows_are_those_of_brute_force():
    for seed in range(4):
        answers = answerer(seed, max_answer_length=3)
        context = " ".join([CONTEXT] * 3)
        expected = brute_force(answers, "the cat", context)[:10]
        found = answers.predict([QuestionExample("the cat", context)], n_best=10)[0]
        assert [span.answer for span in found.n_best] == [text for text, _ in expected]
        weights = torch.tensor([score for _, score in expected]).softmax(0)
        assert [s.probability for s in found.n_best] == pytest.approx(weights.tolist(), abs=1e-5)
        assert found.answer == expected[0][0]
        assert context[found.start : found.end] == found.answer


def test_the_threshold_decides_whether_there_is_no_answer():
    answers = answerer()
    always = answers("the cat", CONTEXT)
    difference = always.no_answer_score
    example = [QuestionExample("the cat", CONTEXT)]
    above, below = (
        answers.predict(example, null_threshold=difference + step)[0] for step in (0.01, -0.01)
    )
    assert (above.answer, above.start, above.end) == (always.answer, always.start, always.end)
    assert (below.answer, below.start, below.end) == ("", 0, 0)
    assert "" in [span.answer for span in below.n_best]
    assert "" not in [span.answer for span in always.n_best]


def test_no_answer_takes_the_lowest_score_of_the_windows():
    answers, context = answerer(), " ".join([CONTEXT] * 2)
    windows = make_windows(
        answers.tokenizer, [QuestionExample("a", context)], max_length=POSITIONS, doc_stride=4
    )
    nulls = []
    for ids, types in zip(windows.input_ids, windows.token_type_ids, strict=True):
        outputs = answers.model(
            torch.tensor(ids)[None].long(), token_type_ids=torch.tensor(types)[None].long()
        )
        nulls.append((outputs.start_logits[0, 0] + outputs.end_logits[0, 0]).item())
    best = brute_force(answers, "a", context)[0][1]
    assert answers("a", context).no_answer_score == pytest.approx(min(nulls) - best, abs=1e-4)


def test_a_context_without_tokens_has_no_answer_and_does_not_crash():
    predictions = answerer().predict(
        [QuestionExample("the cat", "\u200b"), QuestionExample("the cat", CONTEXT)]
    )
    assert (predictions[0].answer, predictions[0].probability) == ("", 1.0)
    assert predictions[1].answer


def test_answers_do_not_depend_on_batches():
    examples = [
        QuestionExample(question, context)
        for question in ("the cat", "paris")
        for context in (CONTEXT, "the mat sat", " ".join([CONTEXT] * 3))
    ]
    answers = answerer()
    alone = [answers(e.question, e.context) for e in examples]
    for together, one in zip(answers.predict(examples, batch_size=5), alone, strict=True):
        assert together.answer == one.answer
        assert together.probability == pytest.approx(one.probability, abs=1e-5)


# Scores


def test_scores_of_hand_made_answers():
    cat = QuestionExample("?", "x", (GoldAnswer("the black cat", 0), GoldAnswer("A cat!", 0)))
    assert answer_scores(["Cat"], [cat]) == {"exact_match": 1, "f1": 1}
    assert answer_scores(["white cat"], [cat])["f1"] == pytest.approx(2 / 3)
    assert answer_scores(["dog"], [cat]) == {"exact_match": 0, "f1": 0}
    none = QuestionExample("?", "x")
    scores = answer_scores(["", "dog", "cat"], [none, none, cat])
    assert scores == pytest.approx({"exact_match": 2 / 3, "f1": 2 / 3, "no_answer_accuracy": 2 / 3})


def test_chinese_is_scored_by_character():
    example = QuestionExample("谁?", "x", (GoldAnswer("黑豹队", 0),))
    assert answer_scores(["《黑豹队》。"], [example]) == {"exact_match": 1, "f1": 1}
    assert answer_scores(["黑猫队"], [example])["f1"] == pytest.approx(2 / 3)
    assert answer_words("第 50 届NFL年度", chinese=True) == ["第", "50", "届", "nfl", "年", "度"]


def test_english_scores_are_those_of_the_definition():
    """Against the definition as it is written: strings, and words that are crossed off a list."""
    random = np.random.Generator(np.random.PCG64(0))
    words = ["the", "a", "An", "cat", "Cat.", "U.S.", "1,000", "—", "'s", "dog", "…", "theater"]

    def normalize(text: str) -> str:
        text = text.lower().translate(dict.fromkeys(map(ord, string.punctuation)))
        return " ".join(word for word in text.split() if word not in ("a", "an", "the"))

    for _ in range(300):
        answer, gold = (" ".join(random.choice(words, random.integers(0, 5))) for _ in range(2))
        example = QuestionExample("?", "x", (GoldAnswer(gold, 0),))
        scores = answer_scores([answer], [example])
        said, left = normalize(answer).split(), normalize(gold).split()
        size, hits = len(left), 0
        for word in said:
            if word in left:
                left.remove(word)
                hits += 1
        f1 = 2 * (p := hits / len(said)) * (r := hits / size) / (p + r) if hits else 0
        assert scores["exact_match"] == (normalize(answer) == normalize(gold))
        assert scores["f1"] == pytest.approx(f1 if said and size else float(said == left))


def test_baselines_answer_with_sentences():
    examples = [
        QuestionExample("What is the capital of France?", CONTEXT, (GoldAnswer("Paris", 24),)),
        QuestionExample("哪里下雨？", "今天很热。北京下雨了。", (GoldAnswer("北京", 5),)),
    ]
    answers = baseline_answers(examples)
    assert answers["first_sentence"] == ["The cat sat on the mat.", "今天很热。"]
    assert answers["overlapping_sentence"] == ["Paris is the capital of France.", "北京下雨了。"]
    assert "majority" not in answers
    assert baseline_answers([*examples, QuestionExample("?", "x")])["majority"] == [""] * 3


# From file to answers


@pytest.fixture
def minibert(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[object, str, str]]:
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([*map(str, arguments)])
        return (stop.value.code, *capsys.readouterr())

    return command


def places(count: int, *, impossible: bool = False) -> dict:
    """Questions that can be learned: "the" asks for Paris, "a" for nothing."""
    random = np.random.Generator(np.random.PCG64(count))
    paragraphs = []
    for number in range(count):
        context = " ".join(random.permutation(["cat", "mat", "paris", "france", "猫"]))
        questions = [ask("the", ("paris", context.index("paris")), identity=f"{number}")]
        if impossible:
            questions.append(ask("a", identity=f"{number}-none", is_impossible=True))
        paragraphs.append((context, questions))
    return squad(*paragraphs)


def test_a_file_of_questions_becomes_a_folder_that_answers(minibert, tmp_path: Path):
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    pretrained_folder(tmp_path / "bert", initializer_range=0.2, **no_dropout)
    train = write(tmp_path / "train.json", places(150, impossible=True))
    dev = write(tmp_path / "dev.json", places(20, impossible=True))
    options = ("--model", "bert", "--epochs", 4, "--learning-rate", 5e-3, "--batch-size", 8)
    code, out, err = minibert(
        *("finetune", "--train", train, "--dev", dev, "--output", "out"), *options
    )
    assert (code, err) == (0, "")
    assert "task: question-answering (guessed from" in out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert metrics["dev"]["f1"] > 0.9
    assert set(metrics["baselines"]) >= {"first_sentence", "overlapping_sentence", "majority"}
    assert (tmp_path / "out" / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    code, out, _ = minibert("evaluate", "out", dev, "--json")
    found = json.loads(out)
    assert (code, found["examples"]) == (0, 40)
    assert found["f1"] == pytest.approx(metrics["dev"]["f1"])
    assert found["baselines"]["majority"]["no_answer_accuracy"] == 0.5

    code, out, _ = minibert("predict", "out", "--file", dev, "--output", "predictions.json")
    assert (code, out) == (0, "wrote 40 answers to predictions.json\n")
    predictions = json.loads((tmp_path / "predictions.json").read_text("utf-8"))
    examples = read_questions(dev)[0]
    scores = answer_scores([predictions[e.id] for e in examples], examples)
    assert scores["f1"] == pytest.approx(found["f1"])
    context = "mat  Paris 猫"
    words = ("predict", "out", "--context", context, "--question")
    code, out, _ = minibert(*words, "the", "--json")
    answer = json.loads(out)
    assert (answer["answer"], answer["start"], answer["end"]) == ("Paris", 5, 10)
    assert answer["n_best"][0]["answer"] == "Paris"
    assert minibert(*words, "a")[1].startswith("no answer  (")
    write(tmp_path / "context.txt", context)
    code, out, _ = minibert(
        *("predict", "out", "--context-file", "context.txt", "--question", "a"),
        *("--null-threshold", 1000),
    )
    assert (code, out.startswith("no answer")) == (0, False)


def test_a_saved_folder_answers_with_bit_equal_logits(tmp_path: Path):
    answers = answerer(null_threshold=-0.5, max_answer_length=7)
    answers.save_pretrained(tmp_path)
    again = QuestionAnswerer.from_pretrained(tmp_path)
    assert again.settings == answers.settings
    examples = [QuestionExample(q, CONTEXT) for q in ("the cat", "paris")]
    assert again.predict(examples) == answers.predict(examples)
    task = json.loads((tmp_path / "task.json").read_text("utf-8"))
    write(tmp_path / "task.json", task | {"max_length": "long"})
    with pytest.raises(MiniBertError, match="must be positive integers"):
        QuestionAnswerer.from_pretrained(tmp_path)
    (tmp_path / "task.json").unlink()  # as in a folder of transformers
    assert QuestionAnswerer.from_pretrained(tmp_path).settings.max_length == POSITIONS
    assert saved_task(tmp_path) == "question-answering"


def test_padding_of_a_batch_is_never_part_of_an_answer():
    answers = answerer()
    examples = [QuestionExample("a", CONTEXT), QuestionExample("a", "cat")]
    windows = make_windows(answers.tokenizer, examples, max_length=POSITIONS, doc_stride=4)
    batches = QuestionBatches(windows, windows.targets, pad_token_id=0)
    with torch.no_grad():
        answers.model.qa_outputs.weight.zero_()  # all spans are equal
    predictions, loss = predict_answers(answers.model, batches, examples)
    assert predictions[1].n_best[0].answer == "cat"
    assert len(predictions[1].n_best) == 1
    assert math.isfinite(loss)


REFUSED = {
    "a text": (["the cat"], "give --question with --context"),
    "no context": (["--question", "?"], "give --question with --context"),
    "two contexts": (
        ["--question", "?", "--context", "x", "--context-file", "dev.json"],
        "give --question with --context",
    ),
    "an empty context": (["--question", "?", "--context", " "], "texts that are not empty"),
    "a csv": (["--file", "dev.json", "--output", "x.csv"], "must end in .json or .jsonl"),
    "equal ids": (["--file", "same.json", "--output", "x.json"], "have the same id"),
    "a choice": (["--choice", "x"], "--choice is for multiple-choice"),
    "a column": (["--file", "dev.json", "--text-column", "x"], "--text-column is for"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_predict_refuses_what_does_not_fit(minibert, tmp_path: Path, name: str):
    answerer().save_pretrained(tmp_path / "qa")
    write(tmp_path / "dev.json", places(2))
    write(tmp_path / "same.json", squad((CONTEXT, [ask("a"), ask("b")])))
    arguments, message = REFUSED[name]
    code, out, err = minibert("predict", "qa", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.glob("x.*"))


def test_finetune_refuses_options_of_other_tasks_and_bad_files(minibert, tmp_path: Path):
    pretrained_folder(tmp_path / "bert")
    classifier_folder(tmp_path / "cls")
    train = write(tmp_path / "train.json", places(4))
    finetune = ("finetune", "--train", train, "--model", "bert", "--output", "out")
    for arguments, message in (
        ([*finetune, "--label-column", "x"], "--label-column is for classification"),
        ([*finetune, "--max-length", 7], "--max-length 8 or more"),
        ([*finetune, "--task", "classification", "--doc-stride", 7], "--doc-stride is for"),
        ([*finetune, "--dev-share", 0], "cannot be held out"),
        (["finetune", "--task", "question-answering"], "needs a file of questions"),
        (["predict", "cls", "--question", "x"], "--question is for"),
        (["evaluate", "cls", train], "question-answering"),
    ):
        code, _, err = minibert(*arguments)
        assert (code, message in err) == (2, True), err
    assert not (tmp_path / "out").exists()
