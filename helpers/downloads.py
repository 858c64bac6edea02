"""Real data sets through tensorflow-datasets: fetched once, checked, and refused in seconds when there is no network.

Alone, tensorflow-datasets waits 205 s when names cannot be resolved, and for ever behind a silent firewall.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from . import quiet_import

PATIENCE = 6  # seconds without an answer or without a byte


def cache_folder() -> Path:
    """Where prepared sets lie: ``TFDS_DATA_DIR``, or ``data/tensorflow_datasets`` in the course's folder."""
    own = Path(__file__).resolve().parent.parent / "data" / "tensorflow_datasets"
    return Path(os.environ.get("TFDS_DATA_DIR") or own).expanduser()


def cached() -> dict[str, int]:
    """Names of the sets in `cache_folder` that are ready to read, and their sizes on disk in bytes."""
    sizes = {}
    for info in sorted(cache_folder().glob("*/**/dataset_info.json")):
        *name, _version = info.parent.relative_to(cache_folder()).parts
        if name[0] != "downloads" and not any(part.startswith("incomplete.") for part in info.parts):
            sizes["/".join(name)] = sum(file.stat().st_size for file in info.parent.iterdir())
    return sizes


def names() -> list[str]:
    """The sets that tensorflow-datasets knows how to fetch."""
    with quiet_import():
        import tensorflow  # noqa: F401
        import tensorflow_datasets as tfds
    logging.getLogger("absl").addFilter(_is_news)
    # The list of community sets would be fetched from the web, with no end when that is silent.
    return tfds.list_builders(with_community_datasets=False)


def find(name: str):
    """The tensorflow-datasets builder of an image classification set.

    Parameters
    ----------
    name
        One of `names`, with a configuration or version if need be (``"emnist/letters"``).

    Raises
    ------
    ValueError
        When there is no such version, when it is not a set of images with one label each, or when its files have to be
        asked for by hand.
    OSError
        When the description of a prepared set is damaged; it is removed, so that the next call fetches it anew.
    """
    import tensorflow_datasets as tfds
    from google.protobuf.json_format import ParseError

    try:
        builder = tfds.builder(name, data_dir=cache_folder())
    except (ParseError, json.JSONDecodeError):
        raise _removed(name, cache_folder() / name.split("/")[0].split(":")[0]) from None
    except (ValueError, AssertionError) as error:  # an unknown version or configuration
        raise ValueError(f"name: got {name!r}, which tensorflow-datasets refuses ({_first_line(error)})") from None
    features = builder.info.features
    wanted = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    if not all(key in features and isinstance(features[key], kind) for key, kind in wanted.items()):
        raise ValueError(
            f"name: got {name!r}, whose features are {', '.join(features)}, "
            "expected a set with an image and a class label in each example"
        )
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not builder.is_prepared():
        raise ValueError(
            f"name: got {name!r}, whose files have to be asked for by hand: "
            f"see https://www.tensorflow.org/datasets/catalog/{builder.name}"
        )
    return builder


def fetch(name: str, instead: str):
    """Download and prepare a set, with progress on screen, unless that was done before; return its builder.

    Only one process at a time fetches a set; another one waits, and then finds it ready. What an interrupted or
    damaged download left behind is removed first.

    Parameters
    ----------
    name
        As for `find`.
    instead
        The embedded set to name when this one cannot be had.

    Raises
    ------
    ValueError, OSError
        As `find`; an ``OSError`` also when the folder cannot be written to.
    ConnectionError
        When the set cannot be had: the network is closed or silent, a transfer stops, or what came is damaged.
    """
    builder = find(name)
    if builder.is_prepared():
        return builder
    try:
        with _alone(builder):
            if not builder.is_prepared():
                _download_and_prepare(builder)
    except Exception as error:
        reason = network_trouble(error)
        if reason:
            raise ConnectionError(
                f"{name} is not on this computer and could not be downloaded ({reason}): "
                f'load("{instead}") needs no network; '
                f"'python -m helpers.datasets {name}', run with a network, fetches {name} for later."
            ) from None
        if isinstance(error, OSError):
            raise OSError(
                f"The folder {cache_folder()} cannot be written to ({error.strerror or error}): "
                "set the environment variable TFDS_DATA_DIR to one that can"
            ) from None
        raise
    return find(name)  # anew: another process may have prepared the set meanwhile


def ask(url: str) -> None:
    """Wait `PATIENCE` seconds at most for an answer from this address; raise what is wrong, if anything is.

    Resolving a name cannot be interrupted, so a thread does it that is left behind if need be.

    Raises
    ------
    requests.RequestException, TimeoutError
        When the address does not answer, or not with success; `network_trouble` puts it in words.
    """
    import requests

    wrong = []

    def get() -> None:
        try:
            with requests.get(url, stream=True, timeout=PATIENCE) as response:
                response.raise_for_status()
        except Exception as error:  # whatever it is, the thread that waits has to hear of it
            wrong.append(error)

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        raise TimeoutError(f"{urlsplit(url).hostname} did not answer within {PATIENCE} s")
    if wrong:
        raise wrong[0]


def content(url: str) -> bytes:
    """What lies at this address.

    Raises
    ------
    requests.RequestException, TimeoutError
        As `ask`, and when the transfer stops.
    """
    import requests

    ask(url)
    response = requests.get(url, timeout=PATIENCE)
    response.raise_for_status()
    return response.content


def network_trouble(error: Exception) -> str | None:
    """Why nothing, or something wrong, came from the network, in a few words; None when something else failed."""
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    if isinstance(error, NonMatchingChecksumError):
        return "what came is damaged: its checksum is wrong"
    if isinstance(error, tfds.download.DownloadError):
        status = re.search(r"HTTP code: (\d+)", str(error))
        return f"the server answered {status[1]}" if status else _first_line(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{urlsplit(error.response.url).hostname} answered {error.response.status_code}"
    if isinstance(error, requests.RequestException):
        asked = getattr(error.request, "url", None)
        where = urlsplit(asked).hostname if asked else "the server"
        if isinstance(error, requests.Timeout) or "timed out" in str(error):
            return f"{where} fell silent for {PATIENCE} s"
        broke_off = isinstance(error, requests.exceptions.ChunkedEncodingError)
        return f"{where} {'broke off' if broke_off else 'cannot be reached'}"
    if isinstance(error, (ConnectionError, TimeoutError)):
        return _first_line(error)
    return None


class Downloaded:
    """A fetched set, whose images are decoded when they are asked for.

    It has the attributes and methods of `folders.Photographs` that say what is in it and read it. `counts` has a pool
    ``"test"`` if the set says what to test on (its test split, or else its validation split); what boxes there are
    follow from the masks.

    Raises
    ------
    ValueError
        When the set has no training split.
    OSError
        From `labels` and `read`, when the files are damaged; they are removed, so that the next call fetches them anew.
    """

    boxes = None

    def __init__(self, builder, trimap: str | None = None):
        self._builder, self._trimap = builder, trimap
        splits = builder.info.splits
        if "train" not in splits:
            raise ValueError(
                f"name: got {builder.name!r}, whose splits are {', '.join(splits)}, expected a train split"
            )
        self._splits = {"train": "train"}
        held_out = next((name for name in ("test", "validation") if name in splits), None)
        if held_out:
            self._splits["test"] = held_out
        self.counts = {pool: splits[split].num_examples for pool, split in self._splits.items()}
        *shape, self.channels = builder.info.features["image"].shape
        self.shape = None if None in shape else tuple(shape)
        self.class_names = tuple(builder.info.features["label"].names)

    def labels(self, pool: str) -> np.ndarray:
        """The label of every example of a pool."""
        import tensorflow_datasets as tfds

        only_labels = tfds.decode.PartialDecoding({"label": True})
        examples = self._builder.as_dataset(split=self._splits[pool], decoders=only_labels)
        examples = _of_length(examples, self.counts[pool]).batch(1024)
        with self._readable():
            return np.concatenate([batch["label"] for batch in examples.as_numpy_iterator()])

    def read(
        self, pool: str, indices: np.ndarray | None, size: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Images ``(batch, height, width, channels)``, labels and, where the set has them, masks."""
        with self._readable():
            examples = self.stream(pool, indices, size)
            specs, start = examples.element_spec, 0
            arrays = [np.empty((len(examples), *spec.shape), spec.dtype.as_numpy_dtype) for spec in specs]
            for batch in examples.batch(256).as_numpy_iterator():
                part = slice(start, start := start + len(batch[0]))
                for array, values in zip(arrays, batch, strict=True):
                    array[part] = values
        images, labels, *masks = arrays
        return images, labels, masks[0] if masks else None

    def stream(self, pool: str, indices: np.ndarray | None, size: int | None):
        """A ``tf.data.Dataset`` of image, label and, where the set has them, mask.

        Parameters
        ----------
        pool
            One of `counts`.
        indices
            Which examples of the pool, ascending; ``None`` for all.
        size
            Side in pixels to resize to, if at all.
        """
        import tensorflow as tf
        import tensorflow_datasets as tfds

        features = {key: self._builder.info.features[key] for key in ("image", "label", self._trimap) if key}
        undecoded = {key: tfds.decode.SkipDecoding() for key in features if key != "label"}
        decoders = tfds.decode.PartialDecoding(dict.fromkeys(features, True), decoders=undecoded)
        examples = self._builder.as_dataset(split=self._splits[pool], decoders=decoders)
        examples = _of_length(examples, self.counts[pool])
        if indices is not None:
            kept = tf.constant(np.isin(np.arange(self.counts[pool]), indices))
            examples = examples.enumerate().filter(lambda index, _: kept[index]).map(lambda _, example: example)

        def decode(example):
            image = features["image"].decode_example(example["image"])
            if size is not None:
                image = tf.image.resize(image, (size, size), "bicubic", antialias=True)
                image = tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
            if not self._trimap:
                return image, example["label"]
            mask = features[self._trimap].decode_example(example[self._trimap])
            if size is not None:
                mask = tf.image.resize(mask, (size, size), "nearest")
            # A trimap has 1 for the object, 2 for the background and 3 for the border between them.
            return image, example["label"], tf.cast(mask[..., 0] != 2, tf.uint8)

        examples = examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        return examples if indices is None else _of_length(examples, len(indices))

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn the errors of damaged files inside this block into one sentence, and remove those files."""
        import tensorflow as tf

        try:
            yield
        # The last is what `_of_length` leads to.
        except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.FailedPreconditionError):
            raise _removed(self._builder.name, Path(self._builder.data_path)) from None


def _removed(name: str, folder: Path) -> OSError:
    """Remove the damaged files of a set; return the error that says so."""
    try:
        shutil.rmtree(folder)
    except OSError:
        return OSError(f"{name} is damaged: delete the folder {folder}, then load {name} again")
    return OSError(f"{name} was damaged and has been removed: load {name} again to prepare it anew")


def _of_length(examples, count: int):
    """The same examples, which raise an error when read if they are not as many."""
    import tensorflow as tf

    return examples.apply(tf.data.experimental.assert_cardinality(count))


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the log is more than tensorflow-datasets talking to itself."""
    text = record.getMessage()
    return not text.startswith(("`FeatureConnector.dtype` is deprecated", "Variant folder"))


def _alone(builder):
    """Keeps other processes from fetching the same set, inside a ``with`` block; waits while one does."""
    from filelock import FileLock, Timeout

    cache_folder().mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache_folder() / f"{builder.name}.lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"{builder.name}: another process is fetching it; waiting", flush=True)
        return lock.acquire()


def _clear_remains(builder) -> set[str]:
    """Remove what an interrupted or damaged download left behind; return the checksums of the archives that are whole.

    The checksum of each is in a note beside it, which tensorflow-datasets writes.
    """
    downloads = cache_folder() / "downloads" / builder.name
    prepared = Path(builder.data_path)
    for remains in [*downloads.glob("*.tmp.*"), prepared, *prepared.parent.glob("incomplete.*")]:
        shutil.rmtree(remains, ignore_errors=True)
    whole = set()
    for note in downloads.glob("*.INFO"):
        archive = note.with_suffix("")
        try:
            noted = json.loads(note.read_text(encoding="utf-8"))["url_info"]["checksum"]
            with archive.open("rb") as file:
                is_whole = hashlib.file_digest(file, "sha256").hexdigest() == noted
        except (FileNotFoundError, ValueError, LookupError, TypeError):  # no archive, or no such note
            is_whole = False
        if is_whole:
            whole.add(noted)
        else:
            archive.unlink(missing_ok=True)
            note.unlink()
    return whole


def _download_and_prepare(builder) -> None:
    import tensorflow_datasets as tfds

    there, wanted = _clear_remains(builder), builder.url_infos or {}
    missing = [url for url, info in wanted.items() if info.checksum not in there and url.startswith("http")]
    if missing:
        ask(missing[0])
    extracted = cache_folder() / "downloads" / f"extracted_{builder.name}"
    config = tfds.download.DownloadConfig(try_download_gcs=False, extract_dir=extracted)
    try:
        with _impatient(), warnings.catch_warnings():
            # Without ipywidgets the progress bars are drawn as text, which is as good.
            warnings.filterwarnings("ignore", message="IProgress not found")
            builder.download_and_prepare(download_config=config)
    finally:
        shutil.rmtree(extracted, ignore_errors=True)


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Inside this block tensorflow-datasets gives up a transfer that stops for `PATIENCE` seconds, and does not retry.

    It offers no setting for either.
    """
    from requests.adapters import HTTPAdapter
    from tensorflow_datasets.core.download import downloader

    send, retries = HTTPAdapter.send, downloader.MAX_RETRIES

    def send_with_timeout(self, request, stream=False, timeout=None, **settings):
        return send(self, request, stream=stream, timeout=timeout or PATIENCE, **settings)

    HTTPAdapter.send, downloader.MAX_RETRIES = send_with_timeout, 0
    try:
        yield
    finally:
        HTTPAdapter.send, downloader.MAX_RETRIES = send, retries


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
