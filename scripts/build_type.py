"""Render the capitals A-Z of the Latin faces in Debian's font packages into one archive for `latentry.data.npz`.

    apt-get install -y --no-install-recommends $(python scripts/build_type.py --packages)
    python scripts/build_type.py runs/type-32.npz --size 32
    python scripts/build_type.py runs/type-64.npz --size 64

A *face* is one style of a family, such as Lato Black Italic. Four attributes of it are known for certain: `bold` is -1 for
thin to light, 0 for regular to medium and +1 for semibold to black; `italic` (or oblique), `serif` and `mono` are 0 or 1.
Weight and italics are what both the tables of the font (`OS/2`, `post`) and the name of its style say; a face where they
contradict each other is left out. Levels of weight are the designers': a light face of a dark family may be as thick as a
regular face of another. Faces are mono if the capitals are equally wide in `hmtx` (flags are often missing); serifs are
listed by family below, since what PANOSE says of them is often wrong.

White ink on black. All faces are scaled to one cap height, that of their H, an even number of pixels near 0.62 of the side;
the H is centred between top and bottom, the others stand on its baseline, and tails hang below. Each letter is centred from
left to right by its ink. Letters that would come closer to the frame than 1/32 of the side, such as half of the Qs, a third
of the Js and a tenth of the Ws, are drawn smaller about the middle of the H, by 5 % in the median and 22 % at most; the
others of their face are not. Letters are drawn at eight times the size and reduced by averaging, so that a pixel is the
share of it that is covered. Nothing here is random.

Only normal widths are taken: condensed, narrow and expanded styles are not, whatever their tables say, nor are small
capitals, initials, the sizes of Latin Modern other than 10 points, variable fonts, and faces whose letters equal those of
a face before them, pixel by pixel at 32 x 32. Courier Prime, whose styles all have one name, is not listed.

Families that share a designer's skeleton (Noto and Open Sans, Lato and Carlito, the clones of Helvetica and Times) are one
*group*, and the splits part groups, never faces of one group: 80 / 10 / 10 % of the faces or nearly so. The groups to
validate on and to hold out were chosen by hand so that both have light, regular and bold faces, upright and italic,
with serifs and without, of equal and unequal widths.

Sources and licences: the Debian packages in `PACKAGES`, whose fonts are under the SIL Open Font License (most), Apache 2.0
(Clear Sans, Roboto, Open Sans), the GUST Font License (TeX Gyre, Latin Modern), Bitstream Vera's (DejaVu, Hack), ParaType's
Free Font License, or the GPL with the font exception (Baskervald, Liberation 1, Libertine). They are rendered locally;
neither the fonts nor the archive are part of this repository.
"""

import argparse
import logging
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fontTools.pens.boundsPen import BoundsPen  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from PIL import Image, ImageDraw, ImageFont

PACKAGES = (
    "fonts-adf-baskervald",
    "fonts-averia-serif-gwf",
    "fonts-cabin",
    "fonts-cantarell",
    "fonts-clear-sans",
    "fonts-comfortaa",
    "fonts-crosextra-caladea",
    "fonts-crosextra-carlito",
    "fonts-dejavu-core",
    "fonts-dejavu-extra",
    "fonts-dosis",
    "fonts-ebgaramond",
    "fonts-firacode",
    "fonts-hack",
    "fonts-inter",
    "fonts-jetbrains-mono",
    "fonts-junicode",
    "fonts-jura",
    "fonts-lato",
    "fonts-league-mono",
    "fonts-league-spartan",
    "fonts-liberation",
    "fonts-linuxlibertine",
    "fonts-lmodern",
    "fonts-mononoki",
    "fonts-mplus",
    "fonts-noto-core",
    "fonts-noto-extra",
    "fonts-noto-mono",
    "fonts-open-sans",
    "fonts-paratype",
    "fonts-quicksand",
    "fonts-roboto-slab",
    "fonts-roboto-unhinted",
    "fonts-sil-charis",
    "fonts-texgyre",
    "fonts-vollkorn",
)
"""Debian packages whose fonts are read; their order does not matter."""
SIZES = range(8, 257)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ATTRIBUTES = ("bold", "italic", "serif", "mono")
SPLITS = ("train", "validation", "held-out")
LEVELS = {-1: "light", 0: "regular", 1: "bold"}
ENOUGH = 150
"""Faces below which a set is too small to learn from, and packages are likely missing."""
CAP_SHARE = 0.62
ZOOM = 8
COMPARED = 32
"""Side of the images by which equal faces are found, so that sets of any size have the same faces."""


@dataclass(frozen=True)
class Group:
    """Families that look alike, in one split."""

    sans: tuple[str, ...] = ()
    serif: tuple[str, ...] = ()
    split: str = "train"


GROUPS = {
    "Adventor": Group(sans=("TeX Gyre Adventor",)),
    "Averia": Group(serif=("Averia Serif GWF",), split="held-out"),
    "Baskervald": Group(serif=("Baskervald ADF Std",)),
    "Bonum": Group(serif=("TeX Gyre Bonum",)),
    "Cabin": Group(sans=("Cabin",), split="held-out"),
    "Caladea": Group(serif=("Caladea",)),
    "Cantarell": Group(sans=("Cantarell",), split="validation"),
    "Charis": Group(serif=("Charis SIL",)),
    "Clear Sans": Group(sans=("Clear Sans",)),
    "Comfortaa": Group(sans=("Comfortaa",)),
    "Computer Modern": Group(
        sans=("Latin Modern Sans",),
        serif=(
            "Latin Modern Roman",
            "Latin Modern Roman Demi",
            "Latin Modern Roman Slanted",
            "Latin Modern Mono",
            "Latin Modern Mono Slanted",
        ),
    ),
    "Courier": Group(serif=("TeX Gyre Cursor",)),
    "Dosis": Group(sans=("Dosis",)),
    "Fira": Group(sans=("Fira Code",), split="validation"),
    "Garamond": Group(serif=("EB Garamond",), split="held-out"),
    "Helvetica and Times": Group(
        sans=("Liberation Sans", "Liberation Mono", "TeX Gyre Heros"), serif=("Liberation Serif", "TeX Gyre Termes")
    ),
    "Inter": Group(sans=("Inter", "Inter Display")),
    "JetBrains": Group(sans=("JetBrains Mono",)),
    "Junicode": Group(serif=("Junicode Two Beta",), split="validation"),
    "Jura": Group(sans=("Jura",)),
    "Lato": Group(sans=("Lato", "Carlito"), split="validation"),
    "League Mono": Group(sans=("League Mono",), split="held-out"),
    "League Spartan": Group(sans=("League Spartan",)),
    "Libertine": Group(sans=("Linux Biolinum O",), serif=("Linux Libertine O", "Linux Libertine Display O")),
    "M PLUS": Group(
        sans=(
            "M PLUS 1",
            "M PLUS 2",
            "M PLUS 1 Code",
            "Mplus Code 50",
            "Mplus Code 60",
            "M PLUS Code Latin 50",
            "M PLUS Code Latin 60",
        )
    ),
    "Mononoki": Group(sans=("mononoki",)),
    "Noto": Group(
        sans=("Noto Sans", "Noto Sans Display", "Noto Sans Mono", "Noto Mono", "Open Sans"),
        serif=("Noto Serif", "Noto Serif Display"),
    ),
    "Pagella": Group(serif=("TeX Gyre Pagella",)),
    "PT": Group(sans=("PT Sans", "PT Sans Caption", "PT Mono"), serif=("PT Serif", "PT Serif Caption")),
    "Quicksand": Group(sans=("Quicksand",)),
    "Roboto": Group(sans=("Roboto",), serif=("Roboto Slab",), split="held-out"),
    "Schola": Group(serif=("TeX Gyre Schola",)),
    "Vera": Group(sans=("DejaVu Sans", "DejaVu Sans Mono", "Hack"), serif=("DejaVu Serif",)),
    "Vollkorn": Group(serif=("Vollkorn",)),
}
FAMILIES = {
    family: (name, serif)
    for name, group in GROUPS.items()
    for serif, families in ((0, group.sans), (1, group.serif))
    for family in families
}
"""Group and serifs of each family."""

LEFT_OUT = re.compile(r"(?i)condensed|narrow|expanded|extended|wide|^latin modern (mono light|.* (5|6|7|8|9|12|17)) ")
WEIGHT_WORDS = ((re.compile(r"(?i)light|thin|hairline"), -1), (re.compile(r"(?i)bold|demi|heavy|black"), 1))
"""In this order; regular, book, medium and no word at all are 0."""
BROKEN = re.compile(r"(?i)^inter display (medium|(semi |extra )?bold) italic$")
"""Faces with a mangled letter, K, in the package of 4.0~beta7."""


@dataclass(frozen=True)
class Face:
    """One style of a family."""

    path: Path
    name: str
    group: str
    bold: int | None
    """Level of weight, or nothing if name and tables contradict each other."""
    italic: int | None
    """0 or 1, or nothing if name and tables contradict each other."""
    serif: int
    mono: int

    @property
    def split(self) -> str:
        return GROUPS[self.group].split

    @property
    def known(self) -> bool:
        return self.bold is not None and self.italic is not None


def installed_fonts(packages: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Font files of the packages, in a fixed order, and the packages that are not installed."""
    fonts, missing = [], []
    for package in packages:
        try:
            listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
        except FileNotFoundError:  # not Debian
            return [], list(packages)
        if listed.returncode:
            missing.append(package)
            continue
        paths = map(Path, listed.stdout.splitlines())
        fonts += [path for path in paths if path.suffix.lower() in (".otf", ".ttf") and path.is_file()]
    return sorted({path.resolve() for path in fonts}), missing


def family_of(name: str) -> str | None:
    """Listed family behind the family name in a font, which may end in a weight, such as Quicksand Light."""
    shorter = re.sub(" (Thin|Light|Medium)$", "", name)
    return next((family for family in (name, shorter) if family in FAMILIES), None)


def weight_level(number: int, name: str) -> int | None:
    """Level that both the class of weight, 1..1000, and the name of a face give, or nothing if they differ."""
    by_number = -1 if number < 400 else 0 if number <= 500 else 1
    by_name = next((level for words, level in WEIGHT_WORDS if words.search(name)), 0)
    return by_number if by_number == by_name else None


def read_face(path: Path) -> Face | None:
    """What a font file says of itself, or nothing if its family is not listed or its style left out."""
    with TTFont(path, lazy=True) as font:
        names, os2, post, letters = font["name"], font["OS/2"], font["post"], font.getBestCmap() or {}
        own_family, style = names.getBestFamilyName() or "", names.getBestSubFamilyName() or ""
        family, name = family_of(own_family), re.sub(" (Thin|Light|Medium) Regular$", r" \1", f"{own_family} {style}")
        if family is None or LEFT_OUT.search(name) or BROKEN.search(name):
            return None
        if "fvar" in font or not set(map(ord, LETTERS)) <= set(letters):  # variable, or of another script
            return None
        group, serif = FAMILIES[family]
        by_table = bool(os2.fsSelection & 0b10_0000_0001) or post.italicAngle != 0  # italic, oblique
        by_name = bool(re.search(r"(?i)italic|oblique|slanted", name))
        widths = {font["hmtx"][letters[ord(letter)]][0] for letter in LETTERS}
        return Face(
            path=path,
            name=name,
            group=group,
            bold=weight_level(os2.usWeightClass, name),
            italic=int(by_table) if by_table == by_name else None,
            serif=serif,
            mono=int(len(widths) == 1),
        )


def cap_pixels(side: int) -> int:
    """Cap height in images of so many pixels a side: even, as sides are, so that it has its edges between pixels."""
    return 2 * round(CAP_SHARE * side / 2)


def letter_boxes(path: Path) -> np.ndarray:
    """Left, top, right and bottom of the ink of A-Z about the baseline, downwards, for a font size of 1, `(26, 4)`."""
    boxes = []
    with TTFont(path, lazy=True) as font:
        glyphs, names = font.getGlyphSet(), font.getBestCmap()
        for letter in LETTERS:
            pen = BoundsPen(glyphs)
            glyphs[names[ord(letter)]].draw(pen)
            left, bottom, right, top = pen.bounds
            boxes.append((left, -top, right, -bottom))
        return np.array(boxes) / font["head"].unitsPerEm


def letter_images(path: Path, side: int) -> tuple[np.ndarray, int]:
    """Images of A-Z, `(26, side, side)` uint8, and how many of them were drawn smaller to stay inside the frame."""
    boxes = letter_boxes(path)
    _, top, _, bottom = boxes[LETTERS.index("H")]
    size = ZOOM * cap_pixels(side) / (bottom - top)
    boxes = size * (boxes - [0, (top + bottom) / 2, 0, (top + bottom) / 2])  # the middle of the H is 0
    middle = size * (top + bottom) / 2
    reach = np.max([(boxes[:, 2] - boxes[:, 0]) / 2, -boxes[:, 1], boxes[:, 3]], axis=0)
    room = ZOOM * (side / 2 - max(1.0, side / 32)) - 2  # hinting takes up to two
    scales = np.minimum(1, room / reach)
    images = []
    for letter, box, scale in zip(LETTERS, boxes, scales, strict=True):
        origin = ZOOM * side / 2 - scale * (box[0] + box[2]) / 2, ZOOM * side / 2 - scale * middle
        images.append(_drawn(path, letter, size * scale, origin, side))
    return np.stack(images), int((scales < 1).sum())


def _drawn(path: Path, letter: str, size: float, origin: tuple[float, float], side: int) -> np.ndarray:
    font = ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    image = Image.new("L", (ZOOM * side, ZOOM * side))
    ImageDraw.Draw(image).text(origin, letter, fill=255, font=font, anchor="ls")
    return np.asarray(image.reduce(ZOOM))


def different(faces: Iterable[Face]) -> list[Face]:
    """The faces less those whose letters equal those of a face before them."""
    first: dict[bytes, Face] = {}
    for face in faces:
        first.setdefault(letter_images(face.path, COMPARED)[0].tobytes(), face)
    return list(first.values())


def archive(faces: list[Face], side: int) -> dict[str, np.ndarray]:
    """Arrays of the data set, 26 images for each face in turn."""
    images = []
    shrunk = 0
    for number, face in enumerate(faces, 1):
        letters, smaller = letter_images(face.path, side)
        images.append(letters)
        shrunk += smaller
        if number % 100 == 0:
            print(f"{number} of {len(faces)} faces drawn", flush=True)
    print(f"{shrunk} of {26 * len(faces)} letters drawn smaller to stay inside the frame")
    attributes = np.array([[getattr(face, name) for name in ATTRIBUTES] for face in faces], dtype=np.int64)
    return {
        "images": np.concatenate(images),
        "labels": np.tile(np.arange(26), len(faces)),
        "class_names": np.array(list(LETTERS)),
        "attributes": attributes.repeat(26, axis=0),
        "attribute_names": np.array(ATTRIBUTES),
        "zeros": np.array("neutral"),  # a zero is a value that is known, not an unknown one
        "splits": np.array([face.split for face in faces]).repeat(26),
        "faces": np.array([face.name for face in faces]).repeat(26),
    }


def save(arrays: dict[str, np.ndarray], out: Path) -> None:
    """The whole archive or nothing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.name}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    partial.replace(out)


def table(faces: Iterable[Face]) -> str:
    """Faces by weight and italics, and with serifs and of equal widths, in each split."""
    faces = list(faces)
    counts = Counter((face.split, face.bold, face.italic) for face in faces)
    columns = [(level, italic) for level in LEVELS for italic in (0, 1)]
    heads = [LEVELS[level] + (" it." if italic else "") for level, italic in columns]
    lines = [f"{'':12}" + "".join(f"{head:>12}" for head in [*heads, "serif", "mono", "all"])]
    for split in SPLITS:
        chosen = [face for face in faces if face.split == split]
        numbers = [counts[split, level, italic] for level, italic in columns]
        numbers += [sum(face.serif for face in chosen), sum(face.mono for face in chosen), len(chosen)]
        lines.append(f"{split:12}" + "".join(f"{number:12}" for number in numbers))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", help="the archive to write, .npz")
    parser.add_argument("--size", type=int, default=32, help=f"pixels a side, {SIZES[0]}..{SIZES[-1]} (%(default)s)")
    parser.add_argument("--packages", action="store_true", help="print the Debian packages instead")
    arguments = parser.parse_args()
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of odd dates
    if arguments.packages:
        print(*PACKAGES)
        return
    if arguments.out is None or arguments.out.suffix != ".npz":
        parser.error(f"expected an archive to write that ends in .npz, got {arguments.out}; try runs/type-32.npz")
    if arguments.size not in SIZES:
        parser.error(f"expected a size of {SIZES[0]}..{SIZES[-1]} pixels, got {arguments.size}; try 32")

    fonts, missing = installed_fonts(PACKAGES)
    advice = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    listed = [face for face in map(read_face, fonts) if face is not None]
    faces = different(face for face in listed if face.known)
    if not faces:
        parser.error(f"expected the fonts of Debian's packages, found none; run: {advice}")
    if missing:
        print(f"{len(missing)} packages are missing, so that the data set is another one; run: {advice}", file=sys.stderr)
    if len(faces) < ENOUGH:
        print(f"expected {ENOUGH} faces or more, found {len(faces)}", file=sys.stderr)
    contradictory = [face.name for face in listed if not face.known]
    print(f"{len(fonts)} fonts, {len(listed)} faces of the listed families, {len(faces)} of them different and certain")
    if contradictory:
        print("names and tables contradict each other: " + ", ".join(contradictory))

    arrays = archive(faces, arguments.size)
    try:
        save(arrays, arguments.out)
    except OSError as error:
        parser.error(f"expected a place to write to, got {error}; choose another one than {arguments.out}")
    print(table(faces))
    print(f"{arguments.out}: {len(arrays['images'])} images, {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
