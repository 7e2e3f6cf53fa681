"""One function that loads every kind of data: by a name, a folder, a file or a data set of the hub."""

import os.path
from collections.abc import Callable, Sequence
from pathlib import Path

from latentry.data.celeba import is_celeba_folder, load_celeba
from latentry.data.digits import digits
from latentry.data.folder import load_folder
from latentry.data.hub import load_hub
from latentry.data.idx import is_idx_folder, load_idx
from latentry.data.images import LabelledImages
from latentry.data.npz import load_npz
from latentry.data.painted_digits import painted_digits
from latentry.data.pictures import check_format
from latentry.data.stroke_digits import stroke_digits
from latentry.names import hint
from latentry.paths import user_path

__all__ = ["check_output", "load_dataset"]

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
NAMES = ("digits", "painted-digits", "stroke-digits", "fashion-mnist")
HUB = "hf:"


def load_dataset(name_or_path: str | Path, *, image_size: int | None = None, channels: int | None = None) -> LabelledImages:
    """Labelled images from wherever they are, with the fixed splits train, validation and held-out.

    Splits that the source publishes are kept; missing ones are cut out of train, stratified by class, always alike.
    What was left out, changed to make all images alike, or decided where the source does not say, stands in `notes`.

    Args:
        name_or_path: `digits` (bundled), `painted-digits` (the same in colour, 64 x 64), `stroke-digits` (the same with
            signed attributes), `fashion-mnist` (Debian's `dataset-fashion-mnist`); a folder of IDX files, of images in one
            subfolder per class, of images with a `labels.csv`, or laid out as CelebA; an `.npz` file; `hf:NAME`,
            `hf:NAME@CONFIG` or `hf:FOLDER` through the package `datasets`. A folder called digits is `./digits`.
        image_size: Side of the square that images are resized and cropped to; as they are by default.
        channels: 1 for grey, 3 for colour; as the source has them by default.

    Raises:
        ValueError: There is no such source, or something in it is missing, broken or contradictory; the message names it.

    Example:
        >>> data = load_dataset("digits", channels=3)
        >>> data.shape, len(data.split("train")), data.class_names[7]
        ((3, 28, 28), 8000, '7')
        >>> data.notes
        ('of 10,000 images: 10,000 from grey to three equal channels',)
    """
    check_format(image_size, channels)
    if _is_hub(name_or_path):
        return load_hub(str(name_or_path).removeprefix(HUB), image_size=image_size, channels=channels)
    if name_or_path == "digits":
        return digits(image_size=image_size, channels=channels)
    if name_or_path == "painted-digits":
        return painted_digits(image_size=image_size, channels=channels)
    if name_or_path == "stroke-digits":
        return stroke_digits(image_size=image_size, channels=channels)
    path = _fashion_mnist() if name_or_path == "fashion-mnist" else user_path(name_or_path)
    try:
        return _reader(path)(path, image_size=image_size, channels=channels)
    except OSError as error:
        raise ValueError(
            f"expected data that can be read at {path}, got {error.strerror or error}; mend or move it"
        ) from None


def check_output(out: Path, sources: Sequence[str | Path]) -> None:
    """Make sure that results will not lie among the data, where they would be read as data the next time.

    Args:
        out: The folder for results; it need not exist.
        sources: What was given as data: as `load_dataset` takes it, or files and folders of images.

    Raises:
        ValueError: It lies in a folder of data, or is one.
    """
    for source in sources:
        if source in NAMES or not (folder := user_path(str(source).removeprefix(HUB))).is_dir():
            continue
        if _real(out).is_relative_to(_real(folder)):
            raise ValueError(
                f"expected a folder for results outside the data, got {out} within {folder}, where results would be read "
                "as data the next time; choose another --out"
            )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises for links in a circle


def _is_hub(name_or_path: str | Path) -> bool:
    return isinstance(name_or_path, str) and name_or_path.startswith(HUB)


def _fashion_mnist() -> Path:
    if not FASHION_MNIST.is_dir():
        raise ValueError(
            f"expected fashion-mnist in {FASHION_MNIST}, found none; `apt-get install dataset-fashion-mnist`, or "
            "pass a folder of its IDX files"
        )
    return FASHION_MNIST


def _reader(path: Path) -> Callable[..., LabelledImages]:
    """The function that loads the kind of data at a path."""
    if path.is_file() and path.suffix == ".npz":
        return load_npz
    if path.is_file():
        raise ValueError(f"expected a folder or an .npz file, got the file {path}; pass the folder that holds it")
    if not path.is_dir():
        raise ValueError(_unknown(path))
    if is_celeba_folder(path):
        return load_celeba
    return load_idx if is_idx_folder(path) else load_folder


def _unknown(path: Path) -> str:
    return (
        f"expected {', '.join(map(repr, NAMES))}, 'hf:NAME' or a folder or .npz file that exists, got {str(path)!r}; "
        f"{hint(str(path).lower(), NAMES, 'check the path')}"
    )
