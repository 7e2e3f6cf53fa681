"""`latentry edit hide`: a box of each image is hidden and filled in one pass, by a label split."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentry.latent.measurements import hide_box
from latentry.tasks.edit.kinds import PARTS
from latentry.tasks.edit.settings import EditHideSettings
from latentry.tasks.edit.split_report import SplitEdit, load_split, write_split_edit
from latentry.tasks.recover.shards import ImageSource
from latentry.tasks.runs import Run, command

__all__ = ["edit_hide"]

_HIDDEN = -1.0
"""Value of a hidden pixel for the encoders."""


@command(*PARTS)
def edit_hide(settings: EditHideSettings, run: Run) -> dict[str, Any]:
    """Write `index.html`, `after.png`, `codes.safetensors` and `results.json`; print the report."""
    source = ImageSource(settings.images, settings.data, settings.split)
    loaded = load_split(settings.generator, source, settings.count, settings.evaluation_classifier, run.device)
    split, x = loaded.split, loaded.x
    mask = _mask(settings.box, (x.shape[1], x.shape[2], x.shape[3])).to(x)
    seen = x * mask + _HIDDEN * (1 - mask)
    z = split.encode(seen).mean
    x_hat = split.decode(z)
    x_edited = x * mask + x_hat * (1 - mask)  # what is seen stays as it is
    edit = SplitEdit(seen, z, z, x_hat, x_edited, mask, None, f"hidden box {settings.box}")
    return write_split_edit(run, loaded, edit)


def _mask(box: str, shape: tuple[int, int, int]) -> Float[Tensor, "c h w"]:
    """1 where an image is seen, 0 in the box.

    Raises:
        ValueError: The box is not of the form TOP:LEFT:HEIGHT:WIDTH, not within the image, or the whole of it.
    """
    try:
        top, left, height, width = (int(part) for part in box.split(":"))
    except ValueError:
        raise ValueError(f"expected --box TOP:LEFT:HEIGHT:WIDTH, such as 8:8:12:12, got {box!r}") from None
    mask = hide_box(shape, (top, top + height), (left, left + width))
    if not mask.any():
        raise ValueError(f"expected --box to leave part of the image, got {box}, which hides all of it; hide less")
    return mask
