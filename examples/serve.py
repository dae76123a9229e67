"""Serve a fine-tuned classifier over HTTP on this machine, with JSON in and out.

python examples/serve.py runs/finetune_cls
curl http://127.0.0.1:8000/predict -d '{"texts": ["Returns a view of the array."]}'

GET /health says that it runs. A classifier of pairs takes "text_pairs", too. Only this machine can
connect; for others, put a proxy with encryption and authentication in front.
"""

from minibert.cli.process import run

import json
import queue
import re
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, islice
from typing import Any

from minibert.cli.shared import Parser, int_range

MAX_BYTES, MAX_TEXTS, MAX_CHARACTERS = 1_000_000, 64, 20_000  # of a request, and of a text
MAX_WAITING, MAX_SECONDS = 100, 30.0  # requests in the queue, and the time for an answer
WINDOW, BATCH_SIZE = 0.005, 64  # seconds to wait for more texts, and texts that end the wait


class RequestError(Exception):
    """A request that is not answered: the HTTP status, and a sentence."""


class Server(ThreadingHTTPServer):
    """A thread for each connection, and one that runs the model, with the waiting texts of all."""

    def __init__(self, classifier: Any, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.classifier = classifier
        self.names = ["texts", "text_pairs"] if classifier.pairs else ["texts"]
        self.waiting: queue.Queue[tuple[list[list[str]], Future]] = queue.Queue(MAX_WAITING)
        threading.Thread(target=self.run_model, daemon=True).start()

    def predict(self, texts: list[list[str]]) -> list[dict[str, Any]]:
        answer: Future = Future()
        try:
            self.waiting.put_nowait((texts, answer))
            return [*map(asdict, answer.result(MAX_SECONDS))]
        except queue.Full:
            raise RequestError(503, "too many requests are waiting; try again later.") from None
        except TimeoutError:
            answer.cancel()
            raise RequestError(504, f"no answer within {MAX_SECONDS:g} seconds.") from None

    def run_model(self) -> None:
        while True:
            jobs, end = [self.waiting.get()], time.monotonic() + WINDOW
            while sum(len(texts[0]) for texts, _ in jobs) < BATCH_SIZE:
                try:
                    jobs.append(self.waiting.get(timeout=max(0, end - time.monotonic())))
                except queue.Empty:
                    break
            jobs = [job for job in jobs if job[1].set_running_or_notify_cancel()]
            try:  # the texts, and for pairs the second texts, of all requests
                joined = [[*chain(*x)] for x in zip(*(texts for texts, _ in jobs), strict=True)]
                predictions = iter(self.classifier.predict(*joined) if joined else ())
                for texts, answer in jobs:
                    answer.set_result([*islice(predictions, len(texts[0]))])
            except Exception as error:  # of the model; the thread must go on
                for _, answer in jobs:
                    answer.set_exception(error)


class Handler(BaseHTTPRequestHandler):
    """Answer the requests of one connection."""

    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds that a client may be silent

    def do_GET(self) -> None:
        if self.path != "/health":
            return self.send_error(404, "there are only /health and /predict.")
        return self.answer(200, {"status": "ok", "waiting": self.server.waiting.qsize()})

    def do_POST(self) -> None:
        try:
            self.answer(200, {"predictions": self.server.predict(self.read_texts())})
        except RequestError as error:
            self.send_error(*error.args)
        except Exception as error:
            self.send_error(500, f"the request has failed: {type(error).__name__}.")

    def read_texts(self) -> list[list[str]]:
        names, size = self.server.names, self.headers.get("Content-Length", "")
        if self.path != "/predict":
            raise RequestError(404, "post to /predict.")
        if not re.fullmatch("[0-9]{1,12}", size) or int(size) > MAX_BYTES:
            raise RequestError(413, f"give a Content-Length of at most {MAX_BYTES:,} bytes.")
        try:
            content = json.loads(self.rfile.read(int(size)).decode("utf-8"))
        except (ValueError, RecursionError):
            raise RequestError(400, 'the request is not JSON like {"texts": ["..."]}.') from None
        named = isinstance(content, dict) and {*content} == {*names}
        texts = [content[name] for name in names] if named else [None]
        if not all(isinstance(x, list) and all(isinstance(t, str) for t in x) for x in texts):
            raise RequestError(400, f"send an object with {' and '.join(names)}: lists of strings.")
        if not all(1 <= len(one) == len(texts[0]) <= MAX_TEXTS for one in texts):
            raise RequestError(400, f"send 1 to {MAX_TEXTS} {' and as many '.join(names)}.")
        if max(len(text) for one in texts for text in one) > MAX_CHARACTERS:
            raise RequestError(400, f"a text has more than {MAX_CHARACTERS:,} characters.")
        return texts

    def send_error(self, code: int, message: str = "", explain: str | None = None) -> None:
        self.close_connection = True  # the rest of the request is not read
        self.answer(code, {"error": message})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="the output of minibert finetune")
    parser.add_argument("--port", type=int_range(0, 65535), default=8000, metavar="N")
    options = parser.parse_args()
    # Imported here, because PyTorch takes seconds and --help does not need it.
    from minibert.inference.text_classification import TextClassifier

    with Server(TextClassifier.from_pretrained(options.folder), options.port) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}; Ctrl-C stops", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    run(main)
