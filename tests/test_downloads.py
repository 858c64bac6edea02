"""Downloaded sets arrive whole, and a network that is closed is told in seconds: on tiny sets, from this computer.

No test asks anything outside this computer.
"""

import http.server
import os
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from helpers import datasets, real
from helpers.datasets import load

ROOT = Path(__file__).resolve().parent.parent
REFUSAL = 10  # seconds within which a closed network has to be told
SETS = ("tiny_both", "tiny_masked", "tiny_train", "tiny_validation", "tiny_varied")


class Server(http.server.ThreadingHTTPServer):
    """Gives the archive of `tiny_sets` to whoever asks, in the manner that a test has chosen."""

    manner, archive, asked = "whole", b"", 0


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        if self.server.manner == "silent":
            time.sleep(2)
        self.send_response(404 if self.server.manner == "missing" else 200)
        body = self.server.archive[::-1] if self.server.manner == "damaged" else self.server.archive
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def tiny():
    """The module of tiny sets, imported when the first test needs it."""
    import tiny_sets

    real.names()  # slow at the first time
    return tiny_sets


@pytest.fixture(scope="module")
def running(tiny):
    with Server(("127.0.0.1", 0), Answer) as server:
        server.archive = tiny.ARCHIVE
        server.handle_error = lambda *_: None  # of a client that went away
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty folder for sets, and no proxy but those that a test sets."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "sets"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "sets"


@pytest.fixture
def server(running, tiny, monkeypatch):
    """The server in good health, in front of an empty cache."""
    monkeypatch.setenv(tiny.ADDRESS, f"http://127.0.0.1:{running.server_port}")
    running.manner, running.asked = "whole", 0
    return running


@pytest.fixture(scope="module")
def fetched(tiny, running, tmp_path_factory):
    """A folder into which the tiny sets were fetched once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("fetched")))
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv(tiny.ADDRESS, f"http://127.0.0.1:{running.server_port}")
        running.manner = "whole"
        for name in SETS:
            real.fetch(name)
        return real.cache_folder()


@pytest.fixture
def offline(fetched, tiny, monkeypatch):
    """The sets on this computer, and nothing to fetch them from."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(fetched))
    monkeypatch.setenv(tiny.ADDRESS, "http://127.0.0.1:9")
    return fetched


@pytest.fixture
def closed_network(tiny, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens


def numbers(images) -> list[int]:
    """The numbers of tiny images, which are in a pixel of theirs."""
    return np.asarray(images)[:, 0, 0, 0].tolist()


def assert_whole(data, tiny, train=range(40), test=range(40, 60)):
    """Each part has the expected images, with every pixel and label right."""
    for images, labels, expected in ((data.x_train, data.y_train, train), (data.x_test, data.y_test, test)):
        assert sorted(numbers(images)) == list(expected)
        assert np.array_equal(images, tiny.IMAGES[numbers(images)])
        assert np.array_equal(labels, tiny.LABELS[numbers(images)])


def refusal(name: str) -> str:
    """What `load` says when it cannot have a set, which it has to say in time."""
    started = time.monotonic()
    with pytest.raises(ConnectionError) as raised:
        load(name)
    assert time.monotonic() - started < REFUSAL
    return str(raised.value)


# What comes when all is well


def test_a_set_is_fetched_once_and_is_as_documented(server, tiny):
    data = load("tiny_both")
    assert server.asked == 2  # whether there is an answer, and the archive
    assert_whole(data, tiny)
    assert (data.name, data.class_names) == ("tiny_both", tiny.CLASSES)
    assert data.source == "https://www.tensorflow.org/datasets/catalog/tiny_both"
    assert (data.x_train.dtype, data.y_train.dtype.kind, data.masks_train, data.boxes_test) == (
        np.uint8,
        "i",
        None,
        None,
    )
    assert_whole(load("tiny_both:1.0.0"), tiny)
    assert server.asked == 2
    assert real.content(os.environ[tiny.ADDRESS]) == tiny.ARCHIVE


def test_what_is_not_said_is_split_the_same_way_for_every_seed(offline, tiny):
    assert_whole(load("tiny_validation"), tiny, range(45), range(45, 60))
    data, other = load("tiny_train"), load("tiny_train", seed=3, n_train=20)
    test = sorted(numbers(data.x_test))
    assert_whole(data, tiny, sorted(set(range(60)) - set(test)), test)
    assert np.abs(np.bincount(data.y_test) - 0.2 * np.bincount(tiny.LABELS)).max() < 1
    assert numbers(other.x_test) == numbers(data.x_test)
    assert len(other.x_train) == 20 and set(numbers(other.x_train)) < set(numbers(data.x_train))
    assert np.array_equal(other.y_train, tiny.LABELS[numbers(other.x_train)])


def resized(image, size, how=Image.Resampling.BICUBIC):
    """An image as Pillow resizes it, one channel at a time, with no rounding before the end."""
    channels = [Image.fromarray(np.float32(channel)).resize((size, size), how) for channel in np.moveaxis(image, -1, 0)]
    return np.rint(np.stack(channels, axis=-1).clip(0, 255)).astype(int)


@pytest.mark.parametrize("name, size", [("tiny_both", 5), ("tiny_both", 24), ("tiny_varied", 9)])
def test_images_are_resized_as_pillow_resizes_them(offline, name, size):
    data, original = load(name, size=size), load("tiny_both")
    for image, whole in zip(data.x_train, original.x_train, strict=True):
        number = numbers(whole[None])[0]
        if name == "tiny_varied":
            whole = whole[: 8 + number % 4, : 6 + number % 5]
        assert np.abs(image - resized(whole, size)).max() <= 1


@pytest.mark.parametrize("size", [None, 24])
def test_a_trimap_becomes_a_mask_with_the_border_inside_and_a_box(offline, tiny, monkeypatch, size):
    assert load("tiny_masked").masks_train is None
    monkeypatch.setitem(real.TRIMAPS, "tiny_masked", "trimap")
    data, order = load("tiny_masked", size=size), np.array(numbers(load("tiny_both").x_train))
    expected = tiny.TRIMAPS[order] != 2
    if size:
        expected = np.stack([resized(mask, size, Image.Resampling.NEAREST) for mask in expected])
    assert data.masks_train.dtype == np.uint8 and np.array_equal(data.masks_train, expected[..., 0])
    left, top = 1 + order % 3, 1 + order % 5
    edges = np.stack([left, top, left + 5, top + 6], axis=1)
    if size:
        edges = edges * np.tile([size / 10, size / 12], 2)
    assert np.allclose(data.boxes_train, edges, atol=1 if size else 0)


def test_downloaded_images_and_masks_are_cropped_or_padded_together(offline, tiny, monkeypatch):
    monkeypatch.setitem(real.TRIMAPS, "tiny_masked", "trimap")
    order = np.array(numbers(load("tiny_both").x_train))
    objects = np.uint8(tiny.TRIMAPS[order, ..., 0] != 2)
    squares = {"crop": objects[:, 1:11], "pad": np.pad(objects, [(0, 0), (0, 0), (1, 1)])}
    for fit, expected in squares.items():
        data = load("tiny_masked", size=2 * expected.shape[1], fit=fit)
        np.testing.assert_array_equal(data.masks_train, expected.repeat(2, axis=1).repeat(2, axis=2))
    assert data.x_train[:, :, 0].max() < 30 < data.x_train[:, :, 2:-2].mean(), "bars at the sides"


# What is refused, and a network that does not do its part


def test_sizes_are_asked_for_and_bounded(offline, monkeypatch):
    with pytest.raises(ValueError, match=r"^size: got None, expected a number of pixels, since the images differ"):
        load("tiny_varied")
    with pytest.raises(ValueError, match=r"^size: 60 images of 9999×9999×3 take 16.8 GiB, expected at most 2"):
        load("tiny_both", size=9999)


@pytest.mark.parametrize("name", ["mnist", "emnist/letters"])
def test_a_closed_network_is_told_with_what_to_do(closed_network, name):
    sentence = (
        rf"{name} is not on this computer and could not be downloaded \([a-z.-]+ cannot be reached\): "
        r'load\("digits"\), load\("shapes"\) and load\("surfaces"\) need no network; '
        rf"'python -m helpers.datasets {name}', run with a network, fetches {name} for later\."
    )
    assert re.fullmatch(sentence, refusal(name))


def test_a_silent_network_is_told_in_time(tiny, monkeypatch):
    """A firewall that takes everything and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{hole.getsockname()[1]}")
        assert re.search(
            r"\(storage\.googleapis\.com (did not answer within 6 s|cannot be reached)\)", refusal("mnist")
        )


def test_names_that_are_never_found_are_told_in_time(tiny, monkeypatch):
    monkeypatch.setattr(real, "PATIENCE", 1)
    over = threading.Event()

    def wait(*_, **__):
        over.wait(REFUSAL)
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    assert "(storage.googleapis.com did not answer within 1 s)" in refusal("mnist")
    over.set()


@pytest.mark.parametrize(
    "manner, reason",
    [("missing", "127.0.0.1 answered 404"), ("silent", "did not answer within 1 s"), ("damaged", "checksum")],
)
def test_what_went_wrong_is_told_and_the_next_call_succeeds(server, tiny, monkeypatch, manner, reason):
    monkeypatch.setattr(real, "PATIENCE", 1)
    server.manner = manner
    assert reason in refusal("tiny_both")
    server.manner = "whole"
    assert_whole(load("tiny_both"), tiny)


# Several processes, and the command


def test_of_two_who_fetch_one_waits(server, tiny, cache, capsys):
    cache.mkdir()
    with ThreadPoolExecutor(1) as pool, FileLock(cache / "tiny_both.lock"):
        waiting = pool.submit(load, "tiny_both")
        while "tiny_both: fetching it into" not in capsys.readouterr().out:
            assert not waiting.done()
            time.sleep(0.05)
        time.sleep(0.5)
        assert server.asked == 0 and not waiting.done()
    assert_whole(waiting.result(60), tiny)
    with FileLock(cache / "tiny_both.lock"):
        assert_whole(load("tiny_both"), tiny)  # what is there is read without waiting


def test_the_cache_is_in_the_course_unless_it_is_named(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert real.cache_folder() == ROOT / "data" / "tensorflow_datasets"
    monkeypatch.setenv("TFDS_DATA_DIR", "~/sets")
    assert real.cache_folder() == Path.home() / "sets"


def test_a_set_without_classes_is_refused(offline):
    with pytest.raises(ValueError, match=r"which has image, caption, expected an image and a class label$"):
        load("tiny_unlabelled")


def test_a_bad_certificate_is_called_one(monkeypatch):
    import requests

    def get(*_, **__):
        raise requests.exceptions.SSLError("certificate verify failed")

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(ConnectionError, match=r"^the certificate of example\.org is not trusted on this computer"):
        real.ask("https://example.org/x")


def test_the_command_fetches_what_can_be_had(server, closed_network, capsys):
    assert datasets._main(["digits", "tiny_both"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "digits: ready"
    assert datasets._main(["mnist", "nonsense", "tiny_both"]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == "tiny_both: ready"
    assert re.match("mnist is not on this computer.*\nname: got 'nonsense'", shown.err)
