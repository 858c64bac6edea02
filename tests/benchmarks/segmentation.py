"""What the networks of notebook 06 make of streets.

    python tests/benchmarks/segmentation.py FOLDER    writes data/results/streets.csv: CamVid's frames and masks in
                                                      ``train``, ``trainannot``, ``test`` and ``testannot``; ten minutes

Networks and measure are those of the notebook. Each network is trained from scratch as a whole, with mirrored frames.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from bars import write_results  # first of ours: it makes the course's folders importable

from helpers import real
from notebook_code import definitions

NAME = "06_beyond_classification"
SIZE, CLASSES, VOID = 64, 11, 11
SEEDS = range(3)
EPOCHS = 30


def frames(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """All frames of a part and their masks, in the order of their names."""
    files = sorted((folder / part).iterdir())
    masks = [folder / f"{part}annot" / f"{file.stem}.png" for file in files]
    return (
        np.stack([real.read_picture(file, SIZE) for file in files]),
        np.stack([real.read_mask(file, SIZE) for file in masks]),
    )


def most_frequent(truth: np.ndarray) -> np.ndarray:
    """At every place its most frequent class over these masks."""
    return np.stack([(truth == label).sum(axis=0) for label in range(CLASSES)]).argmax(axis=0)


def trained(lesson: dict, model, images: np.ndarray, truth: np.ndarray, epochs: int):
    images, truth = (np.concatenate([part, part[:, :, ::-1]]) for part in (images, truth))
    truth = dict.fromkeys(model.output, truth) if isinstance(model.output, dict) else truth
    loss = lesson["keras"].losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lesson["falling"](3e-3, epochs, 16, len(images)), loss)
    model.fit(images, truth, batch_size=16, epochs=epochs, verbose=0)
    return model


def streets(lesson: dict, folder: Path, seeds: Iterable[int] = SEEDS, epochs: int = EPOCHS) -> list[dict]:
    """A row for each method and seed."""
    (x, truth), (x_new, truth_new) = (frames(folder, part) for part in ("train", "test"))
    usual = np.broadcast_to(most_frequent(truth), truth_new.shape)
    rows = []
    for seed in seeds:
        lesson["keras"].utils.set_random_seed(seed)
        fcn, unet = (lesson[decoder](lesson["new_encoder"](), VOID + 1) for decoder in ("fcn_on", "unet_on"))
        answers = {
            "most frequent at the place": usual,
            "FCN": lesson["segment"](trained(lesson, fcn, x, truth, epochs), x_new, "stride_2"),
            "U-Net": lesson["segment"](trained(lesson, unet, x, truth, epochs), x_new),
        }
        for method, answer in answers.items():
            value = lesson["mean_iou"](truth_new, answer, CLASSES)
            rows.append({"method": method, "seed": seed, "mean IoU": f"{value:.3f}"})
            print(*rows[-1].values(), flush=True)
    return rows


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.exit(__doc__)
    rows = streets(definitions(NAME), Path(arguments[0]))
    write_results("streets", rows, "python tests/benchmarks/segmentation.py FOLDER")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
