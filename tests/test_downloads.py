"""Downloaded sets arrive whole or not at all, and what stops them is said in seconds: on tiny sets, from this computer.

No test asks anything outside this computer.
"""

import contextlib
import http.server
import json
import logging
import os
import queue
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from helpers import datasets, downloads
from helpers.datasets import load, stream

ROOT = Path(__file__).resolve().parent.parent
REFUSAL = 10  # seconds within which a closed network has to be told
HANG = 60  # seconds after which a test gives up on a call that should have ended,
PROCESS_HANG = 120  # and on a process, which has to import TensorFlow first
WAITING = "tiny_both: another process is fetching it; waiting"
SETS = ("tiny_both", "tiny_train", "tiny_test", "tiny_validation", "tiny_varied", "tiny_masked", "tiny_kinds/second")


class Server(socketserver.ThreadingTCPServer):
    """Gives the archive of `tiny_sets` to whoever asks, in the manner that a test has chosen."""

    daemon_threads = True

    def __init__(self, archive: bytes):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.archive = archive
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.released = threading.Event()
        self.answers("whole")

    def answers(self, *manners: str) -> None:
        """Answer the next requests like this, and all after them like the last."""
        self.released.set()  # whoever still hangs may go
        self.released = threading.Event()
        self.asked, self._manners = 0, list(manners)

    def next_manner(self) -> str:
        self.asked += 1
        return self._manners.pop(0) if len(self._manners) > 1 else self._manners[0]

    def handle_error(self, request, client_address):
        """Say nothing of a client that went away."""


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        manner, released = self.server.next_manner(), self.server.released
        if manner == "silent":
            released.wait(PROCESS_HANG)
        if manner in ("silent", "missing"):
            self.send_error(404)
            return
        body = self.server.archive
        if manner == "damaged":
            body = body.replace(b"NUMPY", b"MUMPY")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if manner == "broken off":
            return
        if manner == "stalled":
            released.wait(PROCESS_HANG)
        while manner == "slow" and not released.wait(0.1):
            self.wfile.write(body[half : half + 1])
            half += 1
        self.wfile.write(body[half:])

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def tiny():
    """The module of tiny sets, imported when the first test needs it."""
    import tiny_sets

    downloads.names()  # slow at the first time
    return tiny_sets


@pytest.fixture(scope="module")
def running(tiny):
    with Server(tiny.ARCHIVE) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.answers("missing")  # lets go of whoever hangs
        server.shutdown()


@pytest.fixture
def server(running, cache, tiny, monkeypatch):
    """The server in good health, in front of an empty cache."""
    running.answers("whole")
    monkeypatch.setenv(tiny.ADDRESS, running.address)
    yield running
    running.answers("missing")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for sets, and no proxy but those that a test sets."""
    folder = tmp_path / "sets"
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture(scope="module")
def fetched(tiny, running, tmp_path_factory):
    """A folder into which the tiny sets were fetched once."""
    folder = tmp_path_factory.mktemp("fetched")
    running.answers("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(folder))
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv(tiny.ADDRESS, running.address)
        for name in SETS:
            answer(datasets.fetch, name)
    return folder


@pytest.fixture
def offline(fetched, cache, tiny, closed_port, monkeypatch):
    """The sets on this computer, and nothing to fetch them from."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(fetched))
    monkeypatch.setenv(tiny.ADDRESS, f"http://127.0.0.1:{closed_port}")
    return fetched


@pytest.fixture
def stored(server, fetched, cache):
    """The server, and a cache in which the tiny sets and their archives are already."""
    shutil.copytree(fetched, cache)
    return server


@pytest.fixture
def closed_port():
    """A port on which connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        yield taken.getsockname()[1]


@pytest.fixture
def closed_network(tiny, cache, closed_port, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")


@pytest.fixture
def silent_network(tiny, cache, monkeypatch):
    """A network that takes everything and answers nothing, like a firewall that drops what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{hole.getsockname()[1]}")
        yield


@pytest.fixture
def no_names(tiny, cache, monkeypatch):
    """A network in which looking up any name takes for ever."""
    over = threading.Event()

    def wait(*_, **__):
        over.wait(HANG)
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    yield
    over.set()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 1)


def answer(call, *arguments, within: float = HANG, **settings):
    """What a call returns or raises; a call that hangs fails the test."""
    outcome = queue.SimpleQueue()

    def run():
        try:
            outcome.put((call(*arguments, **settings), None))
        except Exception as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=within)
    except queue.Empty:
        pytest.fail(f"{call.__name__} did not answer within {within} s")
    if error:
        raise error
    return value


def refusal(name: str) -> str:
    """What `load` says when it cannot have a set, which it has to say in time."""
    with pytest.raises(ConnectionError) as raised:
        answer(load, name, within=REFUSAL)
    return str(raised.value)


def numbers(images) -> list[int]:
    """The numbers of tiny images, which are in a pixel of theirs."""
    return np.asarray(images)[:, 0, 0, 0].tolist()


def assert_whole(data, tiny, train=range(40), test=range(40, 60)):
    """Each part has the expected images, with every pixel and label right."""
    for images, labels, expected in ((data.x_train, data.y_train, train), (data.x_test, data.y_test, test)):
        assert sorted(numbers(images)) == list(expected)
        assert np.array_equal(images, tiny.IMAGES[numbers(images)])
        assert np.array_equal(labels, tiny.LABELS[numbers(images)])


def contents(streamed):
    """Images and labels of a ``tf.data.Dataset``, as two arrays."""
    images, labels = zip(*streamed.as_numpy_iterator(), strict=True)
    return np.stack(images), np.array(labels)


def prepared_folder(cache: Path, name: str = "tiny_both") -> Path:
    return cache / name / "1.0.0"


def archive_of(cache: Path) -> Path:
    (info,) = (cache / "downloads" / "tiny_both").glob("*.INFO")
    return info.with_suffix("")


# --- what comes when all is well ---


def test_a_set_is_fetched_once_with_progress_on_screen(server, tiny, cache, capsys):
    data = answer(load, "tiny_both")
    assert "Dl Completed" in capsys.readouterr().err
    assert_whole(data, tiny)
    assert server.asked <= 2  # whether there is an answer, and the archive
    server.answers("missing")
    again = answer(load, "tiny_both")
    assert server.asked == 0
    assert np.array_equal(again.x_train, data.x_train)
    assert np.array_equal(again.y_test, data.y_test)
    assert sorted(path.suffix for path in (cache / "downloads" / "tiny_both").iterdir()) == [".INFO", ".zip"]
    assert [path.name for path in (cache / "downloads").iterdir()] == ["tiny_both"]


def test_a_set_is_as_documented(offline, tiny):
    data = load("tiny_both")
    assert data.name == "tiny_both"
    assert data.class_names == tiny.CLASSES
    assert data.source == "https://www.tensorflow.org/datasets/catalog/tiny_both"
    assert data.x_train.shape == (40, 12, 10, 3)
    assert data.x_test.shape == (20, 12, 10, 3)
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert data.y_train.shape == (40,)
    assert data.y_train.dtype.kind == data.y_test.dtype.kind == "i"
    assert [data.boxes_train, data.boxes_test, data.masks_train, data.masks_test] == [None] * 4


@pytest.mark.parametrize("name", ["tiny_both", "tiny_both:1.0.0", "tiny_kinds/second"])
def test_every_image_comes_with_its_label(offline, tiny, name):
    assert_whole(load(name), tiny)


def test_the_validation_split_serves_to_test_on(offline, tiny):
    assert_whole(load("tiny_validation"), tiny, range(45), range(45, 60))


def test_a_set_without_a_training_split_is_refused(offline):
    with pytest.raises(ValueError, match=r"name: got 'tiny_test', whose splits are test, expected a train split"):
        load("tiny_test")


def test_a_lone_split_is_divided_80_to_20_the_same_way_for_every_seed(offline, tiny):
    data = load("tiny_train")
    test = sorted(numbers(data.x_test))
    assert len(test) == 12
    assert_whole(data, tiny, sorted(set(range(60)) - set(test)), test)
    share = np.bincount(data.y_test, minlength=3) - 0.2 * np.bincount(tiny.LABELS)
    assert np.abs(share).max() < 1
    for settings in ({"seed": 7}, {"seed": 3, "n_train": 20}):
        assert numbers(load("tiny_train", **settings).x_test) == numbers(data.x_test)


@pytest.mark.parametrize("name", ["tiny_both", "tiny_train"])
def test_n_train_takes_some_of_the_training_images_in_proportion(offline, tiny, name):
    whole, some = load(name), load(name, n_train=16, seed=1)
    assert len(some.x_train) == len(set(numbers(some.x_train))) == 16
    assert set(numbers(some.x_train)) < set(numbers(whole.x_train))
    assert np.array_equal(some.y_train, tiny.LABELS[numbers(some.x_train)])
    share = np.bincount(some.y_train, minlength=3) / 16 - np.bincount(whole.y_train) / len(whole.y_train)
    assert np.abs(share).max() < 1 / 16
    assert np.array_equal(some.x_test, whole.x_test)
    assert numbers(load(name, n_train=16, seed=2).x_train) != numbers(some.x_train)


@pytest.mark.parametrize("name", ["tiny_both", "tiny_train"])
@pytest.mark.parametrize("settings", [{}, {"size": 16, "dtype": "float32"}, {"n_train": 9, "seed": 5}])
def test_a_stream_gives_what_load_gives_in_the_same_order(offline, name, settings):
    data, streamed = load(name, **settings), stream(name, **settings)
    assert len(streamed.train) == len(data.x_train)
    assert len(streamed.test) == len(data.x_test)
    for part, images, labels in (
        (streamed.train, data.x_train, data.y_train),
        (streamed.test, data.x_test, data.y_test),
    ):
        streamed_images, streamed_labels = contents(part)
        assert streamed_images.dtype == images.dtype
        assert np.array_equal(streamed_images, images)
        assert np.array_equal(streamed_labels, labels)


@pytest.mark.parametrize("shards", [1, 3])
def test_indices_choose_from_the_order_of_the_whole(server, tiny, monkeypatch, shards):
    """Also when a set lies in several files, which are read in turns."""
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig
    monkeypatch.setattr(tfds.download, "DownloadConfig", lambda **settings: config(num_shards=shards, **settings))
    builder = answer(datasets.fetch, "tiny_train")
    assert len(builder.info.splits["train"].shard_lengths) == shards
    found = downloads.Downloaded(builder)
    assert found.counts == {"train": 60}
    images, labels, masks = found.read("train", None, None)
    assert masks is None
    assert sorted(numbers(images)) == list(range(60))
    assert np.array_equal(found.labels("train"), labels)
    assert np.array_equal(labels, tiny.LABELS[numbers(images)])
    for indices in (np.array([0]), np.array([59]), np.array([0, 1, 17, 38, 39, 58]), np.arange(1, 60, 2)):
        some, some_labels, _ = found.read("train", indices, None)
        assert numbers(some) == [numbers(images)[index] for index in indices]
        assert np.array_equal(some_labels, labels[indices])
        streamed, _ = contents(found.stream("train", indices, None))
        assert np.array_equal(streamed, some)


def resized(image, size, how):
    """An image as Pillow resizes it, one channel at a time, with no rounding before the end."""
    channels = [Image.fromarray(np.float32(channel)).resize((size, size), how) for channel in np.moveaxis(image, -1, 0)]
    return np.rint(np.stack(channels, axis=-1).clip(0, 255)).astype(int)


@pytest.mark.parametrize("size", [5, 24])
def test_images_are_resized_as_pillow_resizes_them(offline, tiny, size):
    data, small = load("tiny_both"), load("tiny_both", size=size)
    assert small.x_train.shape == (40, size, size, 3)
    assert small.x_train.dtype == np.uint8
    expected = [resized(image, size, Image.Resampling.BICUBIC) for image in data.x_train]
    assert np.abs(small.x_train - expected).max() <= 1
    assert np.array_equal(small.y_train, data.y_train)


def test_images_of_different_sizes_need_a_size(offline, tiny):
    with pytest.raises(ValueError, match=r"^size: got None, expected a number of pixels"):
        load("tiny_varied")
    data, original = load("tiny_varied", size=9), load("tiny_both")
    assert data.x_train.shape == (40, 9, 9, 3)
    # The same images in the same order, cut off at the right and at the bottom.
    for image, whole in zip(data.x_train, original.x_train, strict=True):
        number = numbers(whole[None])[0]
        expected = resized(whole[: 8 + number % 4, : 6 + number % 5], 9, Image.Resampling.BICUBIC)
        assert np.abs(image - expected).max() <= 1


def test_float32_runs_from_0_to_1(offline):
    data, floats = load("tiny_both"), load("tiny_both", dtype="float32")
    assert floats.x_train.dtype == floats.x_test.dtype == np.float32
    assert np.array_equal(floats.x_train, np.float32(data.x_train) / 255)
    assert np.array_equal(floats.x_test, np.float32(data.x_test) / 255)


@pytest.mark.parametrize("size", [None, 24])
def test_a_trimap_becomes_a_mask_with_the_border_inside(offline, tiny, monkeypatch, size):
    known = datasets._Real("shapes", "made up", trimap="segmentation_mask")
    monkeypatch.setitem(datasets._REAL, "tiny_masked", known)
    data, whole = load("tiny_masked", size=size), load("tiny_both")
    assert data.source == "made up"
    for order, masks, boxes in (
        (numbers(whole.x_train), data.masks_train, data.boxes_train),
        (numbers(whole.x_test), data.masks_test, data.boxes_test),
    ):
        expected = tiny.TRIMAPS[order] != 2
        if size:
            expected = np.stack([resized(mask, size, Image.Resampling.NEAREST) for mask in expected])
        assert masks.dtype == np.uint8
        assert np.array_equal(masks, expected[..., 0])
        tops, lefts = (np.array([1 + number % steps for number in order]) for steps in (5, 3))
        extents = [lefts / 10, tops / 12, np.full(len(order), 5 / 10), np.full(len(order), 6 / 12)]
        assert boxes.shape == (len(order), 4)
        assert np.allclose(boxes, np.stack(extents, axis=1), atol=1 / size if size else 1e-6)


def test_a_set_has_no_mask_unless_its_trimap_is_named(offline):
    data = load("tiny_masked")
    assert data.masks_train is None
    assert data.boxes_train is None


# --- a network that does not do its part ---


@pytest.mark.parametrize(
    "name, instead",
    [
        ("mnist", "digits"),
        ("tf_flowers", "surfaces"),
        ("svhn_cropped", "shapes"),
        ("emnist/letters", "shapes"),  # what is to be fetched is not the configuration that comes without a name
    ],
)
def test_a_closed_network_is_told_with_what_to_do(closed_network, name, instead):
    shown = re.escape(name)
    sentence = (
        rf"{shown} is not on this computer and could not be downloaded \([a-z.-]+ cannot be reached\): "
        rf'load\("{instead}"\) needs no network; '
        rf"'python -m helpers.datasets {shown}', run with a network, fetches {shown} for later\."
    )
    message = refusal(name)
    assert re.fullmatch(sentence, message), message


@pytest.mark.parametrize("open_set", [stream, datasets.fetch])
def test_a_stream_is_refused_like_a_load(closed_network, open_set):
    with pytest.raises(ConnectionError, match=r'^mnist is not on this computer .* load\("digits"\) needs no network'):
        answer(open_set, "mnist", within=REFUSAL)


def test_a_silent_network_is_told_in_time(silent_network):
    message = refusal("mnist")
    assert re.search(r"\(storage\.googleapis\.com (did not answer within|fell silent for) 6 s\)", message), message


def test_names_that_are_never_found_are_told_in_time(no_names, impatient):
    assert "(storage.googleapis.com did not answer within 1 s)" in refusal("mnist")


def test_a_transfer_that_stalls_is_told_in_time_and_the_next_call_succeeds(server, tiny, impatient):
    server.answers("stalled")
    assert "fell silent for 1 s" in refusal("tiny_both")
    assert server.asked == 2  # whether there is an answer, and once for the archive: no second wait
    server.answers("whole")
    assert_whole(answer(load, "tiny_both"), tiny)


@pytest.mark.parametrize(
    "manners, reason",
    [
        (["missing"], r"127\.0\.0\.1 answered 404"),
        (["whole", "missing"], r"404"),
        (["damaged"], r"what came is damaged: its checksum is wrong"),
        (["silent"], r"127\.0\.0\.1 did not answer within 1 s|127\.0\.0\.1 fell silent for 1 s"),
        (["whole", "silent"], r"127\.0\.0\.1 fell silent for 1 s"),
        (["broken off"], r"broke off"),
    ],
    ids=["missing", "missing in the end", "damaged", "silent", "silent in the end", "broken off"],
)
def test_what_went_wrong_is_told_in_time_and_the_next_call_succeeds(server, tiny, impatient, manners, reason):
    server.answers(*manners)
    message = refusal("tiny_both")
    assert message.startswith("tiny_both is not on this computer and could not be downloaded (")
    assert re.search(reason, message), message
    server.answers("whole")
    assert_whole(answer(load, "tiny_both"), tiny)


def test_a_failed_call_does_not_keep_others_waiting(server, tiny, cache):
    """Also while its error is kept, as a notebook keeps the last one for its debugger."""
    server.answers("missing")
    with pytest.raises(ConnectionError) as kept:
        answer(load, "tiny_both", within=REFUSAL)
    FileLock(cache / "tiny_both.lock").acquire(timeout=0)
    assert kept.value


def test_a_set_whose_archive_is_there_is_prepared_without_a_network(stored, tiny, cache):
    shutil.rmtree(prepared_folder(cache))
    stored.answers("missing")
    assert_whole(answer(load, "tiny_both"), tiny)
    assert stored.asked == 0


def test_what_is_no_set_is_downloaded_whole_or_given_up_in_time(server, tiny, impatient):
    assert answer(downloads.content, server.address, within=REFUSAL) == tiny.ARCHIVE
    for manners, reason in (
        (["missing"], "127.0.0.1 answered 404"),
        (["silent"], "did not answer within 1 s|fell silent for 1 s"),
        (["whole", "stalled"], "fell silent for 1 s"),
        (["whole", "broken off"], "broke off"),
    ):
        server.answers(*manners)
        with pytest.raises(OSError) as raised:
            answer(downloads.content, server.address, within=REFUSAL)
        assert re.search(reason, downloads.network_trouble(raised.value)), manners


# --- what an interrupted or damaged download leaves behind ---


def leave_half_an_archive(cache: Path) -> Path:
    return cache / "downloads" / "tiny_both" / "127.0.0.1_images.zip.tmp.0123abcd" / "images.zip"


def leave_half_a_set(cache: Path) -> Path:
    return cache / "tiny_both" / "incomplete.ABCDEF_1.0.0" / "tiny_both-train.tfrecord"


def leave_a_set_without_a_description(cache: Path) -> Path:
    return prepared_folder(cache) / "other.tfrecord"


def leave_half_an_extraction(cache: Path) -> Path:
    return cache / "downloads" / "extracted_tiny_both" / "ZIP.images.incomplete_0123" / "images.npy"


@pytest.mark.parametrize(
    "leave", [leave_half_an_archive, leave_half_a_set, leave_a_set_without_a_description, leave_half_an_extraction]
)
def test_what_was_left_half_done_is_removed(server, tiny, cache, leave):
    path = leave(cache)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of it")
    assert_whole(answer(load, "tiny_both"), tiny)
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda archive, info: archive.write_bytes(archive.read_bytes().replace(b"NUMPY", b"MUMPY")),
        lambda archive, info: archive.write_bytes(archive.read_bytes()[:-500]),
        lambda archive, info: archive.unlink(),
        lambda archive, info: info.unlink(),
        lambda archive, info: info.write_text("", encoding="utf-8"),
        lambda archive, info: info.write_text("{}", encoding="utf-8"),
        lambda archive, info: (archive.unlink(), info.write_text("{}", encoding="utf-8")),
    ],
    ids=["changed", "cut off", "gone", "note gone", "note empty", "note says nothing", "gone, note says nothing"],
)
def test_a_stored_archive_that_is_not_as_it_was_is_fetched_anew(stored, tiny, cache, change):
    shutil.rmtree(prepared_folder(cache))
    archive = archive_of(cache)
    change(archive, Path(f"{archive}.INFO"))
    assert_whole(answer(load, "tiny_both"), tiny)
    assert stored.asked
    assert archive.read_bytes() == tiny.ARCHIVE
    assert json.loads(Path(f"{archive}.INFO").read_text(encoding="utf-8"))["url_info"]["size"] == len(tiny.ARCHIVE)


def test_an_archive_that_is_gone_is_asked_for_before_it_is_fetched(stored, cache, impatient, request):
    """So that names that are never found are told in time, though the note on the archive is still there."""
    shutil.rmtree(prepared_folder(cache))
    archive_of(cache).unlink()
    request.getfixturevalue("no_names")
    assert "127.0.0.1 did not answer within 1 s" in refusal("tiny_both")


def without_the_last_record(records: bytes) -> bytes:
    """A tfrecord file is a sequence of: a length in 8 bytes, its checksum in 4, the data, their checksum in 4."""
    start = 0
    while True:
        (length,) = struct.unpack("<Q", records[start : start + 8])
        if start + length + 16 == len(records):
            return records[:start]
        start += length + 16


def changed_in_the_middle(records: bytes) -> bytes:
    middle = len(records) // 2
    return records[:middle] + bytes([records[middle] ^ 1]) + records[middle + 1 :]


@pytest.mark.parametrize(
    "name, damage",
    [
        ("tiny_both", lambda records: records[:-100]),
        ("tiny_both", without_the_last_record),
        ("tiny_both", changed_in_the_middle),
        ("tiny_both", lambda records: b""),
        ("tiny_both", None),
        ("tiny_train", without_the_last_record),
        ("tiny_train", None),
    ],
    ids=["cut off", "one less", "one bit changed", "empty", "gone", "one less, labels first", "gone, labels first"],
)
def test_a_damaged_set_is_told_and_removed_and_comes_back(stored, tiny, cache, name, damage):
    folder = prepared_folder(cache, name)
    (path,) = folder.glob("*-train.tfrecord*")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError) as raised:
        answer(load, name)
    assert str(raised.value) == f"{name} was damaged and has been removed: load {name} again to prepare it anew"
    assert not folder.exists()
    data = answer(load, name)
    test = sorted(numbers(data.x_test))
    assert_whole(data, tiny, sorted(set(range(60)) - set(test)), test)


def test_a_damaged_set_that_cannot_be_removed_is_named(stored, cache, monkeypatch):
    (path,) = prepared_folder(cache).glob("*-test.tfrecord*")
    path.write_bytes(b"")

    def refuse(folder, **_):
        raise PermissionError("in use")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(OSError) as raised:
        answer(load, "tiny_both")
    message = f"tiny_both is damaged: delete the folder {prepared_folder(cache)}, then load tiny_both again"
    assert str(raised.value) == message


def test_a_damaged_description_is_told_and_removed_or_mended(stored, tiny, cache):
    (prepared_folder(cache) / "dataset_info.json").write_text("{", encoding="utf-8")
    with contextlib.suppress(OSError):
        answer(load, "tiny_both")
    assert_whole(answer(load, "tiny_both"), tiny)


# --- several processes ---

LOAD = """
import tiny_sets
from helpers.datasets import load

data = load("tiny_both")
print("digest", tiny_sets.digest(data))
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts a Python process that knows the tiny sets; its output goes into the file ``process.output``."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    processes = []

    def start(*arguments: str) -> subprocess.Popen:
        output = tmp_path / f"output_{len(processes)}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        process.output = output
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def text_of(process: subprocess.Popen) -> str:
    return process.output.read_text(encoding="utf-8", errors="replace")


def wait_until(condition, *processes: subprocess.Popen) -> None:
    """Wait for something to become true while these processes run."""
    end = time.monotonic() + PROCESS_HANG
    while not condition():
        stopped = [text_of(process) for process in processes if process.poll() is not None]
        assert not stopped, stopped[0]
        assert time.monotonic() < end, "\n".join(map(text_of, processes))
        time.sleep(0.05)


def test_a_set_that_is_there_is_read_without_waiting(offline, tiny):
    """Also where the lock is another's, or cannot be written."""
    with FileLock(offline / "tiny_both.lock"):
        assert_whole(answer(load, "tiny_both", within=REFUSAL), tiny)


def test_a_process_that_is_killed_leaves_nothing_in_the_way(server, tiny, cache, start):
    server.answers("slow")
    process = start("-c", LOAD)
    wait_until(lambda: any(cache.glob("downloads/tiny_both/*.tmp.*/*")), process)
    process.kill()
    process.wait()
    (half,) = (cache / "downloads" / "tiny_both").glob("*.tmp.*")
    server.answers("whole")
    assert_whole(answer(load, "tiny_both"), tiny)
    assert not half.exists()


def test_of_two_processes_one_fetches_and_one_waits(server, tiny, cache, start):
    server.answers("slow")
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(answer, load, "tiny_both", within=PROCESS_HANG)
        wait_until(lambda: any(cache.glob("downloads/tiny_both/*.tmp.*")))
        process = start("-c", LOAD)
        wait_until(lambda: WAITING in text_of(process), process)
        server.released.set()
        data = fetching.result()
    assert process.wait(PROCESS_HANG) == 0, text_of(process)
    assert_whole(data, tiny)
    assert re.findall("digest (.*)", text_of(process)) == [tiny.digest(data)]
    assert server.asked <= 2  # whether there is an answer, and the archive


# --- a folder that cannot be written to ---


@pytest.mark.parametrize("in_the_way", ["sets", "sets/downloads", "sets/downloads/tiny_both", "sets/tiny_both"])
def test_a_folder_that_cannot_be_written_to_is_named(server, tmp_path, in_the_way):
    """A file stands where a folder would have to be made, which stops even an administrator."""
    path = tmp_path / in_the_way
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(OSError) as raised:
        answer(load, "tiny_both")
    assert str(raised.value).startswith(f"The folder {tmp_path / 'sets'} cannot be written to (")
    assert str(raised.value).endswith("set the environment variable TFDS_DATA_DIR to one that can")
    assert not isinstance(raised.value, ConnectionError)


def test_a_folder_below_a_file_cannot_be_written_to(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "file" / "sets"))
    with pytest.raises(OSError, match=r"^The folder .*sets cannot be written to \(.* TFDS_DATA_DIR"):
        answer(load, "tiny_both")


def test_the_folder_is_in_the_course_unless_it_is_named(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert downloads.cache_folder() == ROOT / "data" / "tensorflow_datasets"
    monkeypatch.setenv("TFDS_DATA_DIR", "~/sets")
    assert downloads.cache_folder() == Path.home() / "sets"


# --- which sets there are ---


@pytest.mark.parametrize(
    "name, message",
    [
        ("tiny_numbered", "whose features are image, label, expected a set with an image and a class label in each"),
        ("tiny_unlabelled", "whose features are image, caption, expected a set with an image and a class label"),
        ("tiny_manual", "whose files have to be asked for by hand: see https://www.tensorflow.org/datasets/catalog/"),
        ("tiny_both:9.9.9", "which tensorflow-datasets refuses ("),
        ("tiny_kinds/third", "which tensorflow-datasets refuses ("),
        ("mnist:0.0.1", "which tensorflow-datasets refuses ("),
    ],
)
@pytest.mark.parametrize("open_set", [downloads.find, load, stream])
def test_sets_that_are_not_for_us_are_refused(server, cache, open_set, name, message):
    with pytest.raises(ValueError) as raised:
        answer(open_set, name, within=REFUSAL)
    assert str(raised.value).startswith(f"name: got {name!r}, {message}")
    assert "\n" not in str(raised.value)
    assert server.asked == 0
    assert not cache.exists()


def test_a_set_that_was_fetched_by_hand_is_found(offline, tiny, monkeypatch):
    monkeypatch.setattr(tiny.TinyBoth, "MANUAL_DOWNLOAD_INSTRUCTIONS", "Ask the authors.")
    assert_whole(load("tiny_both"), tiny)


def test_the_names_are_known_without_asking_the_network(silent_network, monkeypatch):
    from tensorflow_datasets.core import community

    def asked():
        raise AssertionError("the list of community sets is on the web")

    monkeypatch.setattr(community, "community_register", asked)
    assert {"mnist", "oxford_iiit_pet", "svhn_cropped", "tiny_both"} <= set(answer(downloads.names, within=REFUSAL))


def test_cached_sets_are_listed_with_their_sizes(offline, tiny):
    for unfinished in ("incomplete.ABC_1.0.0", "incomplete.DEF_2.0.0"):
        folder = offline / "tiny_unfinished" / unfinished
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dataset_info.json").write_bytes(b"")
    (offline / "tiny_empty" / "1.0.0").mkdir(parents=True, exist_ok=True)
    sizes = downloads.cached()
    assert sorted(sizes) == sorted(SETS)
    files = prepared_folder(offline).iterdir()
    assert sizes["tiny_both"] == sum(len(file.read_bytes()) for file in files) > len(tiny.ARCHIVE)


def test_nothing_is_cached_in_a_folder_that_is_not_there(cache):
    assert downloads.cached() == {}
    assert not cache.exists()


# --- python -m helpers.datasets ---


def test_the_command_fetches_the_sets_that_are_named(server, cache, capsys):
    assert answer(datasets._main, ["digits", "tiny_both"]) == 0
    embedded, *_, fetched = capsys.readouterr().out.splitlines()
    assert embedded == "digits: always there, it needs no download"
    assert fetched == f"tiny_both: ready in {cache}"
    server.answers("missing")
    assert answer(datasets._main, ["tiny_both"]) == 0
    assert server.asked == 0


def test_the_command_goes_on_after_a_set_that_cannot_be_had(server, closed_network, capsys):
    assert answer(datasets._main, ["mnist", "nonsense", "tiny_manual", "tiny_both"]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].startswith("tiny_both: ready in ")
    for said in ("mnist is not on this computer", "name: got 'nonsense'", "name: got 'tiny_manual'"):
        assert sum(line.startswith(said) for line in shown.err.splitlines()) == 1


def test_the_command_lists_what_is_there(offline, capsys):
    assert datasets._main([]) == 0
    first, folder, *others, last = capsys.readouterr().out.splitlines()
    assert first == "always there: digits, surfaces, faces, shapes"
    assert folder == f"in {offline}:"
    assert others == [f"  {name}: 0 MiB" for name in sorted(SETS)]
    assert last == "to fetch: python -m helpers.datasets " + " ".join(datasets._REAL)


def test_the_command_as_it_is_typed(closed_network, start):
    listing, fetching = start("-X", "importtime", "-m", "helpers.datasets"), start("-m", "helpers.datasets", "mnist")
    assert listing.wait(PROCESS_HANG) == 0, text_of(listing)
    assert "always there: digits, surfaces, faces, shapes" in text_of(listing)
    imported = set(re.findall(r"^import time:.*\| +(\w+)", text_of(listing), re.MULTILINE))
    assert "numpy" in imported
    assert not imported & {"tensorflow", "tensorflow_datasets", "keras"}
    assert fetching.wait(PROCESS_HANG) == 1, text_of(fetching)
    assert text_of(fetching).startswith("mnist is not on this computer and could not be downloaded (")
    assert len(text_of(fetching).splitlines()) == 1


# --- what is changed in other packages, and how long ---


def test_the_patience_ends_with_its_block(tiny):
    from requests.adapters import HTTPAdapter
    from tensorflow_datasets.core.download import downloader

    def settings():
        return HTTPAdapter.send, downloader.MAX_RETRIES

    before = settings()
    with downloads._impatient():
        assert settings()[0] != before[0]
        assert settings()[1] == 0
    assert settings() == before
    with pytest.raises(KeyError), downloads._impatient():
        raise KeyError
    assert settings() == before


def test_the_patience_ends_with_a_failed_download(server, impatient):
    from requests.adapters import HTTPAdapter
    from tensorflow_datasets.core.download import downloader

    before = HTTPAdapter.send, downloader.MAX_RETRIES
    server.answers("whole", "missing")
    refusal("tiny_both")
    assert (HTTPAdapter.send, downloader.MAX_RETRIES) == before


def test_only_two_kinds_of_line_are_kept_out_of_the_log(tiny, caplog):
    log = logging.getLogger("absl")
    with caplog.at_level(logging.WARNING, logger="absl"):
        log.addHandler(caplog.handler)
        log.warning("`FeatureConnector.dtype` is deprecated. Please change your code to use %s", "NumPy")
        log.warning("Variant folder %s has no dataset_info.json", "/sets/mnist")
        log.warning("The disk is full, says the Variant folder")
        log.removeHandler(caplog.handler)
    assert {record.getMessage() for record in caplog.records} == {"The disk is full, says the Variant folder"}
