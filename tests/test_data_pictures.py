import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from latentry.data import from_pixels, load_images
from latentry.data.pictures import Picture, convert_pixels, read_pictures
from latentry.data.survey import open_images, survey


def picture(image: Image.Image, name: str = "picture", **options: object) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, format=str(options.pop("format", "PNG")), **options)
    return Picture(name, buffer.getvalue())


def common_shape(pictures: list[Picture], image_size: int | None, channels: int | None) -> tuple[int, int, int]:
    return survey(pictures.__getitem__, len(pictures), image_size, channels).shape


def value(image: Image.Image, channels: int) -> list[int]:
    """The only colour of a uniform image after decoding."""
    pixels = read_pictures([picture(image)], (channels, 2, 2), fit=True)
    assert (pixels == pixels[:, :, :1, :1]).all()
    return pixels[0, :, 0, 0].tolist()


def grey16(intensity: int) -> Image.Image:
    return Image.fromarray(np.full((2, 2), intensity, dtype=np.uint16))


@pytest.mark.parametrize(
    ("image", "grey", "colour"),
    [
        (Image.new("L", (2, 2), 77), [77], [77, 77, 77]),
        (Image.new("1", (2, 2), 1), [255], [255, 255, 255]),
        (Image.new("RGB", (2, 2), (200, 200, 200)), [200], [200, 200, 200]),
        (Image.new("RGB", (2, 2), (255, 0, 0)), [76], [255, 0, 0]),
        (Image.new("RGB", (2, 2), (255, 0, 0)).convert("P", palette=Image.Palette.ADAPTIVE), [76], [255, 0, 0]),
        (Image.new("RGBA", (2, 2), (9, 9, 9, 0)), [255], [255, 255, 255]),
        (Image.new("RGBA", (2, 2), (9, 9, 9, 255)), [9], [9, 9, 9]),
        (Image.new("LA", (2, 2), (0, 51)), [204], [204, 204, 204]),
        (grey16(65535), [255], [255, 255, 255]),
        (grey16(257 * 40 + 100), [40], [40, 40, 40]),
    ],
    ids=["grey", "bits", "even", "red", "palette", "transparent", "opaque", "translucent", "white16", "grey16"],
)
def test_every_kind_of_pixel_becomes_grey_or_colour_of_8_bits(
    image: Image.Image, grey: list[int], colour: list[int]
) -> None:
    assert (value(image, 1), value(image, 3)) == (grey, colour)


def test_pixels_of_the_right_size_are_left_as_they_are() -> None:
    pixels = torch.randint(256, (1, 3, 5, 4), dtype=torch.uint8)
    encoded = picture(Image.fromarray(pixels[0].permute(1, 2, 0).numpy()))
    assert read_pictures([encoded], (3, 5, 4), fit=False).equal(pixels)


def test_an_oblong_picture_is_cropped_about_its_centre() -> None:
    stripes = torch.tensor([0, 0, 50, 60, 70, 80, 0, 0], dtype=torch.uint8).expand(1, 1, 4, 8)
    assert convert_pixels(stripes, 4, None).equal(stripes[..., 2:6])


def test_reducing_does_not_alias() -> None:
    checkerboard = 255 * (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).to(torch.uint8)
    reduced = convert_pixels(checkerboard.expand(1, 1, 64, 64), 8, None)
    assert (reduced.float() - 127.5).abs().max() < 3


def test_pixels_in_memory_are_converted_as_pictures_are() -> None:
    pixels = torch.randint(256, (2, 3, 9, 6), dtype=torch.uint8)
    encoded = [picture(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in pixels]
    assert convert_pixels(pixels, 4, 1).equal(read_pictures(encoded, (1, 4, 4), fit=True))


def test_a_camera_lying_on_its_side_is_set_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right
    turned = picture(Image.new("L", (8, 4)), format="JPEG", exif=exif)
    assert common_shape([turned], None, None) == (1, 8, 4)
    assert read_pictures([turned], (1, 8, 4), fit=False).shape == (1, 1, 8, 4)


def test_one_picture_in_colour_makes_all_of_them_colour() -> None:
    pictures = [picture(Image.new(mode, (3, 2))) for mode in ("L", "RGB", "L")]
    assert common_shape(pictures, None, None) == (3, 2, 3)
    assert common_shape(pictures, None, 1) == (1, 2, 3)
    assert common_shape(pictures, 5, None) == (3, 5, 5)


def test_mixed_sizes_are_named_with_the_way_out() -> None:
    pictures = [picture(Image.new("L", size), name) for name, size in [("a.png", (4, 3)), ("b.png", (6, 5))]]
    with pytest.raises(ValueError, match=r"4 x 3 in a\.png and 6 x 5 in b\.png; pass image_size"):
        common_shape(pictures, None, None)
    with pytest.raises(ValueError, match=r"6 x 5 in b\.png; pass image_size"):
        read_pictures(pictures, (1, 3, 4), fit=False)


def cut(image: Picture) -> bytes:
    assert isinstance(image.file, bytes)
    return image.file[: len(image.file) // 2]


def noise() -> Image.Image:
    return Image.fromarray(torch.randint(256, (16, 16, 3), dtype=torch.uint8).numpy())


@pytest.mark.parametrize(
    "content",
    [
        cut(picture(noise())),
        cut(picture(noise(), format="JPEG")),
        cut(picture(noise(), format="GIF")),
        b"no image",
        b"",
        picture(Image.fromarray(np.full((2, 2), 1.5, dtype=np.float32)), format="TIFF").file,
        picture(Image.fromarray(np.full((2, 2), 70000, dtype=np.int32)), format="TIFF").file,
    ],
    ids=["half a png", "half a jpeg", "half a gif", "text", "nothing", "floats", "32 bits"],
)
def test_a_broken_picture_is_named(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected a whole image of 8 or 16 bits in broken\.png, got .*; replace"):
        read_pictures([Picture("broken.png", content)], (1, 2, 2), fit=True)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for number, name in enumerate(["b.png", "a.JPG", "deep/c.png", ".hidden.png", ".cache/a.png"]):
        path = tmp_path / "photographs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6 + number), 100 * number).save(path)
    (tmp_path / "photographs/notes.txt").touch()
    return tmp_path / "photographs"


def first_pixels(x: Tensor) -> list[int]:
    return ((x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def test_files_and_folders_are_read_in_the_order_given_and_folders_sorted(photographs: Path) -> None:
    x = load_images([photographs, photographs / "b.png"], image_size=4, channels=3)
    assert (x.shape, x.dtype) == ((4, 3, 4, 4), torch.float32)
    assert first_pixels(x) == [100, 0, 200, 0]


def test_black_is_minus_one_and_white_is_one() -> None:
    assert_close(from_pixels(torch.tensor([0, 255], dtype=torch.uint8)), torch.tensor([-1.0, 1.0]))


def test_paths_without_images_are_named(tmp_path: Path, photographs: Path) -> None:
    (tmp_path / "empty").mkdir()
    for paths, message in [
        ([photographs, tmp_path / "empty"], "images in the folder .*empty, found none"),
        ([tmp_path / "gone.png"], r"expected an image at .*gone\.png, found none"),
        ([photographs / "notes.txt"], r"expected a whole image .*notes\.txt"),
        ([], "paths of images or folders, got none"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_images(paths, image_size=4, channels=1)


@pytest.mark.parametrize(("size", "channels", "message"), [(4, 2, "channels 1 .* got 2"), (0, 1, "image_size, got 0")])
def test_impossible_formats_are_refused(photographs: Path, size: int, channels: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_images([photographs], image_size=size, channels=channels)


def clear(path: Path, ink: int, mode: str) -> None:
    """A stroke of ink on a clear ground."""
    pixels = np.zeros((8, 8, 2), dtype=np.uint8)
    pixels[..., 0] = ink
    pixels[2:6, 3] = (ink, 255)
    Image.fromarray(pixels, "LA").convert(mode).save(path)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_the_ground_below_transparent_parts_is_said_and_images_that_vanish_on_it_are_named(
    tmp_path: Path, mode: str
) -> None:
    clear(tmp_path / "black.png", 0, mode)
    source = open_images([tmp_path], image_size=8, channels=1)
    said = " ".join(source.notes)
    assert f"transparent parts are laid on white, as in {tmp_path}/black.png" in said
    assert "of one value" not in said
    x = source.images(range(1))[0, 0]
    assert (x[2:6, 3] == -1).all()
    assert x.sum() == 64 - 8

    clear(tmp_path / "white.png", 255, mode)
    said = " ".join(open_images([tmp_path], image_size=8, channels=1).notes)
    assert f"of one value all over, so that nothing is seen: 1 image, {tmp_path}/white.png" in said


def test_an_alpha_channel_without_a_clear_pixel_is_not_worth_a_word(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8, 4), 255, dtype=np.uint8), "RGBA").save(tmp_path / "opaque.png")
    assert not any("transparent" in note for note in open_images([tmp_path], image_size=8, channels=3).notes)


def test_a_file_that_is_named_twice_counts_once_where_asked(tmp_path: Path) -> None:
    for name in "ab":
        Image.new("L", (4, 4), 9).save(tmp_path / f"{name}.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    source = open_images([tmp_path / "b.png", tmp_path], image_size=4, channels=1, once=True)
    assert [Path(picture.name).name for picture in source.pictures] == ["b.png", "a.png"]
    assert source.notes == (f"left out: 2 named a second time, the first {tmp_path}/b.png",)
    assert len(open_images([tmp_path, tmp_path], image_size=4, channels=1)) == 6  # where nobody reads notes


def test_a_file_that_is_no_picture_is_refused_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("milk, eggs")
    with pytest.raises(ValueError, match=r"a file that is no picture or of a kind that is not read; replace") as caught:
        open_images([tmp_path], image_size=4, channels=1)
    assert "io.Buffered" not in str(caught.value)
    assert "UnidentifiedImageError" not in str(caught.value)
