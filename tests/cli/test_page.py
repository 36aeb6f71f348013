"""`ranvier page`: who may reach the server, what it does with pages that go, and numbers that are the library's."""

import base64
import contextlib
import http.client
import json
import signal
import socket
import threading
import time

import numpy as np
import pytest

import ranvier as rv
from ranvier.cli import page
from ranvier.cli.page import exports, networks, sources
from ranvier.cli.page.given import begun_with
from ranvier.cli.page.session import Session
from ranvier.cli.page.settings import SettingError, Settings

TOKEN = "secret-token"
SMALL = {"count": 40, "layers": [{"kind": "dense", "units": 2, "activation": "tanh"}]}


@pytest.fixture(scope="module")
def served():
    """A server in a thread: its port and its sessions."""
    server, listening, sessions = page.served({}, {}, None, TOKEN)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1], sessions
    server.should_exit = True
    thread.join(10)
    for name in list(sessions.known):
        sessions.drop(name)


def ask(port, path, message=None, method="POST", body=None, **headers):
    """The status and the answer to a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    given = {"X-Token": TOKEN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    data = body if body is not None else json.dumps(message or {}).encode() if method == "POST" else None
    connection.request(method, path, data, given)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if "json" in (answer.headers["content-type"] or "") else text


@pytest.fixture
def opened(served):
    port, sessions = served
    name = ask(port, "/api/open")[1]["session"]
    yield port, name, sessions.known[name]
    sessions.drop(name)


REFUSED = {
    "no token": ("/api/open", {"X_Token": ""}, 403, "token is missing or wrong"),
    "a wrong token": ("/api/open", {"X_Token": "guess"}, 403, "token is missing or wrong"),
    "another host": ("/api/open", {"Host": "evil.example"}, 421, "127.0.0.1 only"),
    "another host for a file": ("/", {"Host": "evil.example", "method": "GET"}, 421, "127.0.0.1 only"),
    "a hostile origin": ("/api/open", {"Origin": "https://evil.example"}, 403, "other pages are refused"),
    "an origin that is none": ("/api/open", {"Origin": "null"}, 403, "other pages are refused"),
    "another page's frame": ("/api/open", {"Sec_Fetch_Site": "cross-site"}, 403, "other pages are refused"),
    "a huge message": ("/api/build", {"body": b"x" * (1 << 20) + b"x"}, 413, "larger than 1 MB"),
    "no JSON": ("/api/build", {"body": b"{"}, 400, "no JSON"),
    "deep JSON": ("/api/build", {"body": b"[" * 100_000}, 400, "no JSON"),
    "no object": ("/api/build", {"body": b"[]"}, 400, "no object"),
    "no session": ("/api/build", {}, 400, "Load the page again"),
    "a path outside": ("/static/../server.py", {"method": "GET"}, 404, "Not Found"),
    "an encoded path outside": ("/static/%2e%2e/server.py", {"method": "GET"}, 404, "Not Found"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_requests_of_others_are_refused(name, served):
    path, options, status, words = REFUSED[name]
    found, answer = ask(served[0], path, **options)
    assert found == status
    assert words in str(answer)


def test_a_long_body_without_its_length_is_refused(served):
    """Chunks, whose sum the header does not say."""
    port, _ = served
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/api/build", iter([b"x" * (1 << 19)] * 3), {"X-Token": TOKEN}, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, "larger than 1 MB" in answer.read().decode()) == (400, True)


def test_the_files_of_the_page_are_served_with_a_policy(served):
    port, _ = served
    status, text = ask(port, "/", method="GET", Origin=f"http://localhost:{port}")
    assert status == 200
    assert "main.js" in text
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/static/main.js")
        answer = connection.getresponse()
        answer.read()
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert answer.headers["content-type"].startswith("text/javascript")


WRONG = {
    "data": ({"data": "/etc/passwd"}, "write one of circles, xor"),
    "layers": ({"layers": [{"kind": "dense", "units": 1e9}]}, "units=1000000000.0: write a whole number"),
    "deep": ({"layers": [{}] * 9}, "at most 8 layers"),
    "rate": ({"rate": float("nan")}, "rate=nan: write a number from 0 to 10"),
    "points": ({"data": "points", "placed": [[0, 0, 0]] * 5}, "at least four points, of two classes"),
    "point": ({"placed": [[0, 1e300, 0]]}, "a coordinate=1e+300"),
    "kind": ({"layers": [{"kind": "conv"}]}, "need images"),
    "pools": ({"data": "digits", "layers": [{"kind": "pool"}] * 4}, "too small for so many pooling layers"),
    "loss": ({"data": "plane", "loss": "crossentropy"}, "write one of mse, mae, huber for these data"),
    "seed": ({"seed": -1}, "write a whole number from 0"),
    "text": ("circles", "settings are an object"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_do_not_fit(name, opened):
    port, session, _ = opened
    settings, words = WRONG[name]
    status, answer = ask(port, "/api/build", {"session": session, "settings": settings})
    assert status == 400
    assert words in answer["error"]


@pytest.fixture
def by_reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


@pytest.mark.parametrize("data", [*sources.TOYS, "digits"])
def test_data_and_networks_of_every_kind(data, by_reference):
    settings = Settings.of({**SMALL, "data": data, "dropout": 0.1, "penalty": "l2"})
    source = sources.load(settings, {})
    assert source.kind == ("images" if data == "digits" else "plane")
    assert len(source.y_test) == (360 if data == "digits" else 12)
    again = sources.load(settings, {})
    np.testing.assert_array_equal(source.x, again.x)
    network = networks.build(settings, source)
    outputs = network.outline.outputs(source.x_test[:3])
    np.testing.assert_allclose(outputs[-1], network.model.predict(source.x_test[:3], verbose=0), rtol=1e-6)


PLACES = {
    "nothing": ("missing.csv", None, FileNotFoundError, "does not exist"),
    "another file": ("notes.md", b"# Notes", ValueError, "neither a folder of images, nor a table"),
    "a ragged table": ("bad.csv", b"a,b\n1,2\n3\n", ValueError, "line 3"),
    "too few rows": ("few.csv", b"a,b\n1,2\n3,4\n", ValueError, "at least 10"),
    "an empty folder": ("folder", None, ValueError, "folder"),
    "a damaged run": (".", None, ValueError, "is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_what_the_command_line_gives_is_checked_before_the_page_opens(name, tmp_path):
    file, content, error, words = PLACES[name]
    if file == "folder":
        (tmp_path / file).mkdir()
    elif file == ".":
        (tmp_path / "run.json").write_text("{}")
    elif content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(error, match=words):
        begun_with(tmp_path / file)


def test_a_table_folder_or_model_of_the_command_line(tmp_path, by_reference):
    rows = [f"{i * 7 % 13 / 2},{i % 7},{'ab'[i % 2]},{i % 3}" for i in range(30)]
    (tmp_path / "table.csv").write_text("\n".join(["first,second,letter,class", *rows]))
    image = pytest.importorskip("PIL.Image")
    for label in ("dark", "light"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(5):
            image.new("RGB", (40, 36), (i, 20, 200 if label == "light" else 9)).save(
                tmp_path / f"images/{label}/{i}.png"
            )
    model = rv.Sequential([rv.layers.Dense(3, "relu", input_shape=(2,)), rv.layers.Dense(1, "sigmoid")])
    model.save(tmp_path / "model.ranvier")
    found = {}
    for file in ("table.csv", "images", "model.ranvier"):
        given, start = begun_with(tmp_path / file)
        settings = Settings.of(start)
        found[file] = source = sources.load(settings, given)
        networks.build(settings, source)
    assert found["table.csv"].features == ("first", "second", "letter = a", "letter = b", "letter = others")
    assert found["table.csv"].classes == ("0", "1", "2")
    assert found["images"].x.shape == (6, 32, 32, 3)
    assert (found["images"].classes, found["images"].x.max() <= 1) == (("dark", "light"), True)
    opened = networks.build(settings, source)
    assert opened.outline.names == [layer.name for layer in model.layers]
    assert opened.outline.sources == [[0], [1]]
    np.testing.assert_array_equal(opened.model.get_weights()[0], model.get_weights()[0])


UPLOADS = {
    "a table": ("things.csv", "a,b\n" + "1,2\n3,4\n" * 8, 200, "'target': 'b'"),
    "a ragged one": ("things.csv", "a,b\n1,2\n3\n", 400, "the file"),
    "another kind": ("../../etc/passwd", "root", 400, "Choose one of .csv"),
    "a huge one": ("things.csv", "x" * ((8 << 20) + 1), 413, "larger than 8 MB"),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_uploads(name, opened):
    port, session, _ = opened
    file, text, status, words = UPLOADS[name]
    found, answer = ask(port, "/api/table", body=text.encode(), X_Session=session, X_Name=file)
    assert found == status
    assert words in str(answer)
    assert "/tmp" not in str(answer)


def test_an_image_is_looked_into_and_the_model_is_handed_out(opened, tmp_path, by_reference):
    port, name, session = opened
    settings = {"data": "digits", "layers": [{"kind": "conv", "units": 2}, {"kind": "dense", "units": 4}]}
    ask(port, "/api/build", {"session": name, "settings": settings})
    model, x = session.network.model, session.source.x_test
    answer = ask(port, "/api/draw", {"session": name, "row": 7})[1]
    expected = model.predict(x[7:8], verbose=0)[0]
    np.testing.assert_array_equal(np.float32(answer["probabilities"]), expected)
    drawn = ask(port, "/api/draw", {"session": name, "image": x[7].reshape(-1).tolist()})[1]
    assert drawn == answer
    assert [(part["name"], len(part["maps"]), len(part["kernels"])) for part in answer["maps"]] == [("conv1", 2, 2)]
    slopes = rv.explain.saliency(model, x[7:8], answer["chosen"])[0, ..., 0]
    seen = np.frombuffer(base64.b64decode(answer["saliency"]), np.uint8).reshape(8, 8) / 127.5 - 1
    np.testing.assert_allclose(seen, slopes / np.abs(slopes).max(), atol=0.01)
    convolution = ask(port, "/api/explain", {"session": name, "row": 3})[1]["layers"][0]
    place, pixels = convolution["place"], np.pad(session.source.x[3, ..., 0], 1)
    seen = pixels[place["row"] : place["row"] + 3, place["column"] : place["column"] + 3]
    np.testing.assert_allclose(place["pixels"], seen)
    np.testing.assert_allclose((seen * place["kernel"]).sum() + place["bias"], place["sum"], rtol=1e-5)
    np.testing.assert_allclose(max(place["sum"], 0), place["output"], rtol=1e-5)
    kernel = convolution["weights"][0]
    assert (kernel["name"], kernel["shape"], kernel["count"]) == ("kernel", [3, 3, 1, 2], 18)
    assert np.float32(kernel["before"][3]) == model.layers[0].kernel.numpy()[tuple(kernel["places"][3])]
    assert "write a row" in ask(port, "/api/draw", {"session": name, "row": 1000})[1]["error"]
    assert "write 64 numbers" in ask(port, "/api/draw", {"session": name, "image": [1]})[1]["error"]
    for library, words in (("ranvier", "rv.Sequential"), ("keras", "keras.Sequential"), ("torch", "nn.Module")):
        assert words in ask(port, "/api/code", {"session": name, "library": library})[1]["code"]
    assert "write one of ranvier, keras, torch" in str(ask(port, "/api/code", {"session": name, "library": "os"}))
    file, content = exports.model_file(session, {"format": ".ranvier"})
    (tmp_path / file).write_bytes(content)
    np.testing.assert_array_equal(rv.load_model(tmp_path / file).predict(x[7:8], verbose=0)[0], expected)


def frames_of(session):
    found: list[dict] = []
    session.listener = found.append
    return found


def wait(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def test_the_numbers_are_those_of_the_library(opened):
    """An epoch and a step on the page, and the same by hand."""
    port, name, session = opened
    settings = Settings.of({**SMALL, "seed": 3})
    found = frames_of(session)
    ask(port, "/api/build", {"session": name, "settings": {**SMALL, "seed": 3}})
    assert ask(port, "/api/control", {"session": name, "action": "epoch"})[0] == 200
    wait(lambda: found[-1]["step"] == 2 and not found[-1]["running"])
    step = ask(port, "/api/explain", {"session": name, "row": 5, "apply": True})[1]
    wait(lambda: found[-1]["step"] == 3)

    with rv.tensor.rng.seed_scope(3):
        source = sources.load(settings, {})
        network = networks.build(settings, source)
        model = network.model
        model.fit(source.x, network.y, batch_size=16, epochs=1, verbose=0)
        expected = model.explain_step(source.x[5], network.y[5])
        model.train_on_batch(source.x[5:6], network.y[5:6])
    assert step["loss"] == expected.loss
    for shown, layer in zip(step["layers"], expected.layers, strict=True):
        np.testing.assert_array_equal(np.float32(shown["deltas"]), layer.deltas[0])
        np.testing.assert_array_equal(np.float32(shown["sums"]), layer.sums[0])
        np.testing.assert_array_equal(np.float32(shown["kernel"]["after"]), layer.weights["kernel"].after)
    frame = found[-1]
    loss, accuracy = model.evaluate(source.x, network.y, batch_size=28, verbose=0)
    assert (frame["loss"], frame["metric"]) == (loss, accuracy)
    np.testing.assert_allclose(frame["weights"][0]["kernel"], model.layers[0].kernel.numpy(), atol=1e-5)
    assert sum(frame["histograms"][0]["outputs"]["counts"]) == 28 * 2


def test_a_page_that_is_closed_stops_its_training_and_no_other(served):
    """Two pages train; one of them goes."""
    port, sessions = served
    names = [ask(port, "/api/open")[1]["session"] for _ in range(2)]
    streams = []
    for name in names:
        ask(port, "/api/build", {"session": name, "settings": SMALL})
        connection = socket.create_connection(("127.0.0.1", port))
        body = json.dumps({"session": name}).encode()
        head = f"POST /api/frames HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Token: {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        streams.append(connection)
        ask(port, "/api/control", {"session": name, "action": "run"})
    first, second = (sessions.known[name] for name in names)
    wait(lambda: first.steps > 4 and second.steps > 4 and second.listener is not None)
    received = b""
    while b'"type":"frame"' not in received:
        received += streams[0].recv(1 << 16)
    streams[0].close()
    wait(lambda: not first.running)
    assert second.running
    before = second.steps
    wait(lambda: second.steps > before)
    streams[1].close()
    wait(lambda: not second.running)
    for name in names:
        sessions.drop(name)


def test_too_many_pages_and_pages_that_are_gone(served):
    port, sessions = served
    for _ in range(6):
        assert ask(port, "/api/open")[0] == 200
    assert "6 pages are open already" in ask(port, "/api/open")[1]["error"]
    for name in list(sessions.seen):
        sessions.seen[name] -= 100  # no page has asked for so long
    assert ask(port, "/api/open")[0] == 200
    assert len(sessions.known) == 1
    sessions.drop(next(iter(sessions.known)))


def test_a_training_that_diverges_says_so():
    session = Session({})
    found = frames_of(session)
    session.build(
        Settings.of(
            {
                **SMALL,
                "data": "plane",
                "optimizer": "sgd",
                "rate": 10.0,
                "layers": [{"kind": "dense", "units": 8, "activation": "linear"}] * 3,
            }
        )
    )
    session.run()
    wait(lambda: found[-1]["type"] == "stopped" and not session.running)
    assert "loss" in found[-1]["error"]
    session.build(Settings.of(SMALL))  # and the page goes on
    session.step()
    assert found[-1]["step"] == 1
    session.close()
    with pytest.raises(SettingError, match="no network yet"):
        Session({}).step()


def test_the_port_and_the_browser(monkeypatch):
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is taken. Write --port"):
            page.listen(port)
        monkeypatch.setattr(page, "PORT", port)
        with page.listen(None) as free:  # the ports after it may be taken by other programs
            assert free.getsockname()[1] != port
        monkeypatch.setattr(page.webbrowser, "open", lambda address: False)

        def run(self, sockets):
            said.append(str(sockets[0].getsockname()[1]))
            if hasattr(signal, "SIGPIPE"):  # a page that closes does not end the program
                assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN

        monkeypatch.setattr("uvicorn.Server.run", run)
        page.run(None, None, True, said.append)
    assert f"http://127.0.0.1:{said[-1]}/#" in said[0]
    assert said[-1] != str(port)
    assert said[-2].startswith("No browser was found")
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ranvier\[page\]'"):
        page.run(None, None, True, said.append)
