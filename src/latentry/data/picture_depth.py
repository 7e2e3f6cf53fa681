"""Grey pictures of more than 8 bits, or of real numbers, converted to 8 bits.

A file of 16 bits may use fewer of them: cameras and scanners write 10, 12 or 14, whose white is 1023, 4095 or 16383, and
which come out black where white is taken to be 65535. A TIFF says so in `BitsPerSample`, or in `MaxSampleValue` where that
is the largest value of a depth; a PGM and a JPEG 2000 are scaled when decoded. A PNG should be scaled already, whatever its
`sBIT`, but many are not. Where nothing is declared, one depth is taken for all pictures of a source, the least that holds
the values of those that were looked at; a later picture beyond it is an error. Real numbers lie in [0, 1].
"""

from dataclasses import dataclass
from io import BufferedReader, BytesIO

import numpy as np
from PIL import Image

__all__ = ["DEPTHS", "BinaryFile", "Depth", "eight_bits", "floats_as_bytes", "least_bits", "png_chunks"]

BinaryFile = BufferedReader | BytesIO
DEPTHS = (8, 10, 12, 14, 16)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE, _PHOTOMETRIC, _LARGEST_SAMPLE = 258, 262, 281
_WHITE_IS_ZERO = 0
_SMALL_CHUNK = 64


@dataclass(frozen=True)
class Depth:
    """What a grey picture of 16 bits says of its values."""

    bits: int | None = None
    """How many bits they use; None where nothing is declared."""
    significant: int | None = None
    """How many bits they had before they were scaled, if they were, as a PNG may say."""
    inverted: bool = False
    """Whether 0 is white."""

    @classmethod
    def of(cls, image: Image.Image, chunks: dict[bytes, bytes]) -> "Depth":
        """As an opened image declares it.

        Args:
            image: Of 16 bits.
            chunks: Of the file, if it is a PNG.
        """
        if image.format in ("PPM", "JPEG2000"):
            return cls(16)
        tags = getattr(image, "tag_v2", {})
        inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        stored, largest = (_first(tags.get(tag)) for tag in (_BITS_PER_SAMPLE, _LARGEST_SAMPLE))
        if stored in DEPTHS[:-1]:
            return cls(stored, inverted=inverted)
        declared = next((bits for bits in DEPTHS if largest == 2**bits - 1), 16 if inverted else None)
        significant = chunks.get(b"sBIT", b"")[:1]
        return cls(declared, significant[0] if significant and significant[0] in DEPTHS else None, inverted)


def least_bits(largest: int) -> int:
    """The least usual depth that holds a value.

    Raises:
        ValueError: There is none.
    """
    if not 0 <= largest < 2**16:
        raise ValueError("its pixels need more than 16 bits")
    return next(bits for bits in DEPTHS if largest < 2**bits)


def eight_bits(values: np.ndarray, bits: int, *, inverted: bool = False) -> np.ndarray:
    """Values of so many bits, rounded to 8.

    Args:
        values: Whole numbers, 0 for black.
        bits: Of which all ones are white.
        inverted: Whether 0 is white instead, and all ones black.

    Raises:
        ValueError: A value needs more bits.
    """
    white = 2**bits - 1
    if values.min() < 0 or values.max() > white:
        raise ValueError(f"its values lie in [{values.min()}, {values.max()}] where {bits} bits hold 0 to {white}")
    values = white - values.astype(np.uint32) if inverted else values.astype(np.uint32)
    return ((510 * values + white) // (2 * white)).astype(np.uint8)


def floats_as_bytes(values: np.ndarray) -> np.ndarray:
    """Real numbers in [0, 1] as 8 bits.

    Raises:
        ValueError: One of them lies outside.
    """
    if not ((values >= 0) & (values <= 1)).all():  # NaN does neither
        raise ValueError(f"its real numbers lie in [{values.min():g}, {values.max():g}], where 0 is black and 1 is white")
    return (255 * values.astype(np.float64)).round().astype(np.uint8)


def png_chunks(file: BinaryFile) -> dict[bytes, bytes]:
    """Names of the chunks of a PNG, with the content of the small ones; nothing for other formats."""
    file.seek(0)
    found: dict[bytes, bytes] = {}
    if file.read(8) != _SIGNATURE:
        return found
    while len(head := file.read(8)) == 8:
        size, name = int.from_bytes(head[:4]), head[4:]
        found[name] = file.read(size) if size <= _SMALL_CHUNK else b""
        file.seek(4 + (0 if size <= _SMALL_CHUNK else size), 1)
    return found


def _first(value: object) -> object:
    return value[0] if isinstance(value, tuple) and value else value
