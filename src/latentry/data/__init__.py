"""Floor 5: labelled data as tensors: the bundled digits, and readers of files and folders."""

from latentry.data.code_files import load_code_file
from latentry.data.digits import digits
from latentry.data.images import LabelledImages, from_pixels, to_pixels
from latentry.data.recovered import load_codes
from latentry.data.sources import load_dataset
from latentry.data.survey import load_images

__all__ = [
    "LabelledImages",
    "digits",
    "from_pixels",
    "load_code_file",
    "load_codes",
    "load_dataset",
    "load_images",
    "to_pixels",
]
