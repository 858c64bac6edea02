"""Every image that comes in: `load` for data sets, `photograph` for single pictures. No network needed."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from .validation import check_integer

PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "china", "coffee", "flower", "grass", "gravel")


@dataclass(frozen=True, repr=False)
class DataSet:
    """Images and labels, split for training and testing.

    Images are ``(batch, height, width, channels)``, labels integers that index `class_names`.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    source: str

    def __repr__(self) -> str:
        low, high = self.x_train.min(), self.x_train.max()
        counts = Counter(self.y_train.tolist())
        per_class = ", ".join(f"{name}: {counts[index]}" for index, name in enumerate(self.class_names))
        return (
            f"{self.name}: {len(self.x_train):,} training and {len(self.x_test):,} test images "
            f"of {' × '.join(map(str, self.x_train.shape[1:]))}, {self.x_train.dtype} from {low:g} to {high:g}\n"
            f"training images of each class: {per_class}\n"
            f"source: {self.source}"
        )


def load(name: str, *, size: int | None = None, dtype: str = "uint8") -> DataSet:
    """Load a data set by name, split for training and testing.

    Parameters
    ----------
    name
        ``"digits"``: 1,797 handwritten digits, 8×8 (UCI, inside scikit-learn), 80 % for training, stratified.
    size
        Side in pixels to resize to (smoothly, bicubic); by default the images keep their size.
    dtype
        ``"uint8"`` for values from 0 to 255, ``"float32"`` for 0 to 1.

    Raises
    ------
    ValueError
        For an unknown name, a size below 1 or another dtype.
    """
    if name not in ("digits",):
        hint = f"; it is a photograph: use photograph({name!r})" if name in PHOTOGRAPHS else ""
        raise ValueError(f"name: got {name!r}, expected 'digits'{hint}")
    if size is not None:
        check_integer("size", size, 1)
    if dtype not in ("uint8", "float32"):
        raise ValueError(f"dtype: got {dtype!r}, expected 'uint8' or 'float32'")
    return _load_digits(size, dtype)


def photograph(name: str, *, size: int | None = None, grey: bool = False) -> np.ndarray:
    """One of the photographs that scikit-image and scikit-learn carry.

    Parameters
    ----------
    name
        One of `PHOTOGRAPHS`.
    size
        Cut the largest square out of the middle and resize it to this many pixels; by default the whole picture.
    grey
        Return luminance instead of colour. ``brick``, ``camera``, ``grass`` and ``gravel`` are always grey.

    Returns
    -------
    numpy.ndarray
        ``(height, width, 3)`` or, for grey, ``(height, width)``; uint8.

    Raises
    ------
    ValueError
        For an unknown name or a size below 1.
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f"name: got {name!r}, expected one of {', '.join(PHOTOGRAPHS)}")
    if size is not None:
        check_integer("size", size, 1)
    from PIL import Image

    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        picture = Image.fromarray(load_sample_image(f"{name}.jpg"))
    else:
        from skimage import data

        picture = Image.fromarray(getattr(data, name)())
    if grey:
        picture = picture.convert("L")
    if size is not None:
        side = min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        box = (left, top, left + side, top + side)
        picture = picture.resize((size, size), Image.Resampling.LANCZOS, box=box)
    return np.array(picture)  # a copy: Pillow lends its memory for reading only


def _load_digits(size: int | None, dtype: str) -> DataSet:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    if size is not None:
        from PIL import Image

        images = np.stack([Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in images])
    if dtype == "float32":
        images = images.astype(np.float32) / 255
    x_train, x_test, y_train, y_test = train_test_split(
        images[..., None], digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    return DataSet(
        name="digits",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=tuple(str(digit) for digit in range(10)),
        source="UCI optical recognition of handwritten digits (Alpaydin and Kaynak 1998), in scikit-learn",
    )
