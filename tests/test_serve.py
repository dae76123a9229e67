"""What you can rely on: `examples/serve.py` answers as the classifier, and refuses in JSON.

Each test is a client of a server in the same process, on the loopback address.
"""

import http.client
import json
import runpy
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_folders import classifier_folder

from minibert.inference.text_classification import Prediction, TextClassifier

SCRIPT = Path(__file__).parents[1] / "examples" / "serve.py"


class Recorder:
    """A classifier that keeps the batches it was given, waits for its gate, and may fail."""

    pairs = False

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.started, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def predict(self, texts: list[str], text_pairs: list[str] | None = None) -> list[Prediction]:
        self.started.set()
        assert self.gate.wait(20)
        self.batches.append(texts)
        if "fail" in texts:
            raise RuntimeError("the model has a bug")
        return [Prediction(text.upper(), {}) for text in texts]


@pytest.fixture
def serve() -> Iterator[Any]:
    script, servers = SimpleNamespace(**runpy.run_path(str(SCRIPT))), []

    def start(classifier: Any, **limits: Any) -> int:
        script.Server.predict.__globals__.update(limits)
        server = script.Server(classifier, 0)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def request(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Return the status and the JSON of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    sent = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
    connection.request(method, path, sent, headers)
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, json.loads(answer.read())


def test_the_answers_are_those_of_the_classifier(serve, tmp_path):
    classifier = TextClassifier.from_pretrained(classifier_folder(tmp_path / "cls"))
    texts = ["the cat", "paris is the capital of france", "猫\ud800"]
    expected = {"predictions": [asdict(prediction) for prediction in classifier.predict(texts)]}
    port = serve(classifier)
    assert request(port, "POST", "/predict", {"texts": texts}) == (200, expected)
    assert request(port, "GET", "/health") == (200, {"status": "ok", "waiting": 0})


def test_pairs_are_sent_as_two_lists(serve, tmp_path):
    classifier = TextClassifier.from_pretrained(classifier_folder(tmp_path / "cls", pairs=True))
    expected = [asdict(classifier("the cat", "a mat"))]
    port, path = serve(classifier), "/predict"
    pair = {"texts": ["the cat"], "text_pairs": ["a mat"]}
    assert request(port, "POST", path, pair) == (200, {"predictions": expected})
    for wrong in ({"texts": ["the cat"]}, pair | {"text_pairs": []}, pair | {"text_pairs": "ab"}):
        assert request(port, "POST", path, wrong)[0] == 400


def wait_until_waiting(port: int, count: int) -> None:
    for _ in range(500):
        if request(port, "GET", "/health")[1]["waiting"] == count:
            return
        time.sleep(0.02)
    raise AssertionError(f"there are never {count} requests in the queue")


def test_requests_that_come_together_share_a_batch_and_each_gets_its_own_answers(serve):
    classifier = Recorder()
    port = serve(classifier)
    classifier.gate.clear()
    bodies = [{"texts": [f"text {i} {j}" for j in range(1 + i % 3)]} for i in range(12)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = [pool.submit(request, port, "POST", "/predict", bodies[0])]
        assert classifier.started.wait(20)
        answers += [pool.submit(request, port, "POST", "/predict", body) for body in bodies[1:]]
        wait_until_waiting(port, len(bodies) - 1)
        classifier.gate.set()
    for body, answer in zip(bodies, answers, strict=True):
        status, content = answer.result()
        labels = [prediction["label"] for prediction in content["predictions"]]
        assert (status, labels) == (200, [text.upper() for text in body["texts"]])
    first, second = classifier.batches
    texts = [text for body in bodies for text in body["texts"]]
    assert (first, sorted(second)) == (texts[:1], sorted(texts[1:]))


def test_one_connection_may_ask_several_times(serve):
    connection = http.client.HTTPConnection("127.0.0.1", serve(Recorder()), timeout=10)
    for text in ("a", "b"):
        connection.request("POST", "/predict", json.dumps({"texts": [text]}))
        answer = json.loads(connection.getresponse().read())
        assert answer["predictions"][0]["label"] == text.upper()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"texts", "the request is not JSON"),
        (b'{"texts": ["\xff"]}', "the request is not JSON"),
        (b"[" * 100_000, "the request is not JSON"),
        (["a"], "send an object with texts: lists of"),
        ({"texts": ["a"], "text_pairs": ["b"]}, "send an object with texts: lists of"),
        ({"texts": "abc"}, "send an object with texts: lists of"),
        ({"texts": ["a", None]}, "send an object with texts: lists of"),
        ({"texts": []}, "send 1 to 64 texts"),
        ({"texts": ["a"] * 65}, "send 1 to 64 texts"),
        ({"texts": ["a" * 20_001]}, "a text has more than 20,000 characters"),
    ],
)
def test_what_is_no_list_of_texts_is_refused_before_the_model_runs(serve, body, sentence):
    classifier = Recorder()
    status, answer = request(serve(classifier), "POST", "/predict", body)
    assert (status, sentence in answer["error"], classifier.batches) == (400, True, [])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 404),
        ("POST", "/health", {}, 404),
        ("PUT", "/predict", {}, 501),
        ("POST", "/predict", {"Content-Length": "1000001"}, 413),
        ("POST", "/predict", {"Content-Length": "-1"}, 413),
        ("POST", "/predict", {"Content-Length": "9" * 5000}, 413),
        ("POST", "/predict", {"Transfer-Encoding": "chunked"}, 413),
    ],
)
def test_other_requests_are_refused_in_json(serve, method, path, headers, status):
    found, answer = request(serve(Recorder()), method, path, **headers)
    assert found == status and answer["error"]


def test_a_model_that_fails_answers_500_and_goes_on(serve):
    port = serve(Recorder())
    status, answer = request(port, "POST", "/predict", {"texts": ["fail"]})
    assert (status, answer) == (500, {"error": "the request has failed: RuntimeError."})
    assert request(port, "POST", "/predict", {"texts": ["a"]})[0] == 200


def test_too_slow_and_too_many_are_told_apart(serve):
    classifier = Recorder()
    port = serve(classifier, MAX_SECONDS=0.3, MAX_WAITING=1)
    classifier.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(request, port, "POST", "/predict", {"texts": ["0"]})]
        assert classifier.started.wait(20)
        slow += [pool.submit(request, port, "POST", "/predict", {"texts": ["1"]})]
        wait_until_waiting(port, 1)
        assert request(port, "POST", "/predict", {"texts": ["2"]})[0] == 503
        assert [answer.result()[0] for answer in slow] == [504, 504]
        classifier.gate.set()
    wait_until_waiting(port, 0)
    assert request(port, "POST", "/predict", {"texts": ["3"]})[0] == 200
    assert classifier.batches == [["0"], ["3"]]  # what nobody waits for is not computed
