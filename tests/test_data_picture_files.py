"""Nothing in a folder is passed over in silence: it is read, or counted and named, or refused."""

import os
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

from latentry.data import LabelledImages, load_dataset, load_images, to_pixels
from latentry.data.assembly import in_memory
from latentry.data.labels import Labels
from latentry.data.picture_files import list_pictures
from latentry.data.survey import open_images


def painted(folder: Path, *files: str, mode: str = "L", form: str | None = None) -> Path:
    """Files of uniform images, the i-th of intensity i."""
    for intensity, file in enumerate(files):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, (4, 3), intensity).save(path, format=form)
    return folder


def intensities(data: LabelledImages) -> list[int]:
    return to_pixels(data.images())[:, 0, 0, 0].tolist()


def within_seconds(work: Callable[[], object]) -> None:
    """What opens a pipe waits for ever."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("name", ["a.jfif", "a.JPG", "a.jpe", "a.photo", "a", "a.dat", "日本.jfif", "-a[1]$ .jpeg", "😀"])
def test_a_picture_is_known_by_its_content_where_its_name_says_nothing(tmp_path: Path, name: str) -> None:
    data = load_dataset(painted(tmp_path, f"cat/{name}", "dog/b.png", form="JPEG"))
    assert (len(data), data.class_names, data.notes) == (2, ("cat", "dog"), ())


def test_files_that_are_no_pictures_are_counted_by_kind_and_named(tmp_path: Path) -> None:
    painted(tmp_path, "cat/a.png", "dog/b.png")
    for name in ["cat/c.xml", "cat/d.xml", "dog/e.txt", "cat/README", "dog/f.heic"]:
        (tmp_path / name).write_text("no picture")
    for name in ["cat/Thumbs.db", "cat/.DS_Store", "cat/desktop.ini", "dog/._b.png", "Thumbs.db"]:
        (tmp_path / name).write_text("of the system")
    assert load_dataset(tmp_path).notes == (
        f"left out: 5 of no picture format (2 .xml, 1 without a suffix, 1 .txt, 1 .heic), the first {tmp_path}/cat/README",
    )


def test_linked_files_and_folders_are_read_as_if_they_lay_there(tmp_path: Path) -> None:
    painted(tmp_path / "elsewhere", "x.png", "deep/y.png", "z.png")
    painted(tmp_path / "data", "cat/a.png")
    (tmp_path / "data/dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/cat/b.png").symlink_to(tmp_path / "elsewhere/z.png")
    data = load_dataset(tmp_path / "data")
    assert (data.class_names, data.labels.tolist(), intensities(data)) == (("cat", "dog"), [0, 0, 1, 1, 1], [0, 2, 1, 0, 2])
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert load_dataset(tmp_path / "link").fingerprint() == data.fingerprint()


def test_a_link_to_a_folder_above_is_followed_once(tmp_path: Path) -> None:
    painted(tmp_path, "cat/a.png", "dog/deep/b.png")
    (tmp_path / "cat/all").symlink_to(tmp_path / "cat")
    (tmp_path / "dog/deep/up").symlink_to(tmp_path / "dog")
    data = load_dataset(tmp_path)
    assert (len(data), len(data.notes)) == (2, 1)
    assert "left out: 2 linked folders that lead back to one above, the first " in data.notes[0]


@pytest.mark.parametrize("target", ["gone.png", "self.png"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, target: str) -> None:
    painted(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "cat/self.png").symlink_to(tmp_path / "cat" / target)
    with pytest.raises(ValueError, match=r"expected a link to a file or folder that exists at .*self\.png, got .*; mend or"):
        load_dataset(tmp_path)


def test_pipes_and_sockets_are_never_opened_but_named(tmp_path: Path) -> None:
    painted(tmp_path, "cat/a.png", "dog/b.png")
    os.mkfifo(tmp_path / "cat/pipe.png")
    os.mkfifo(tmp_path / "dog/pipe")
    here = Path.cwd()
    os.chdir(tmp_path)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as ear:
            ear.bind("cat/s.png")
    finally:
        os.chdir(here)
    found: list[LabelledImages] = []
    within_seconds(lambda: found.append(load_dataset(tmp_path)))
    assert (len(found[0]), found[0].notes) == (
        2,
        (f"left out: 3 pipes, sockets or devices, the first {tmp_path}/cat/pipe.png",),
    )

    def explicitly() -> None:
        with pytest.raises(ValueError, match=r"in .*pipe\.png, got ValueError: it is a folder, pipe, socket or device"):
            load_images([tmp_path / "cat/pipe.png"], image_size=4, channels=1)

    within_seconds(explicitly)


@pytest.mark.parametrize("file", ["dog/.hidden.png", "dog/notes.txt", "dog/deeper/Thumbs.db"])
def test_a_class_without_images_is_refused(tmp_path: Path, file: str) -> None:
    painted(tmp_path, "cat/a.png", "cat/b.png")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("no picture")
    with pytest.raises(ValueError, match=r"in the folder of each class, found none in .*/dog; fill or remove it"):
        load_dataset(tmp_path)


def test_images_beside_classes_and_splits_are_left_out_and_named(tmp_path: Path) -> None:
    painted(tmp_path / "plain", "cat/a.png", "dog/b.png", "overview.png")
    (tmp_path / "plain/LICENSE").write_text("free")
    assert load_dataset(tmp_path / "plain").notes == (
        f"left out: 1 in the folder of no class, the first {tmp_path}/plain/overview.png",
        f"left out: 1 of no picture format (1 without a suffix), the first {tmp_path}/plain/LICENSE",
    )
    painted(tmp_path / "split", "train/cat/a.png", "test/cat/b.png", "train/c.png", "val/d.png", "e.png")
    assert load_dataset(tmp_path / "split").notes == (
        f"left out: 3 in the folder of no class, the first {tmp_path}/split/e.png",
    )


def test_what_latentry_wrote_never_becomes_a_class(tmp_path: Path) -> None:
    painted(tmp_path, "cat/a.png", "dog/b.png", "run/previews/step.png", "cat/run/images/0.png")
    (tmp_path / "run/checkpoints").mkdir()
    (tmp_path / "cat/run/results.json").write_text("{}")
    data = load_dataset(tmp_path)
    assert (len(data), data.class_names) == (2, ("cat", "dog"))
    assert data.notes == (f"left out: 2 folders with results of latentry, the first {tmp_path}/run",)


def test_images_that_a_table_does_not_list_are_counted(tmp_path: Path) -> None:
    painted(tmp_path, "a.png", "b.png", "sub/c.png", "d.png")
    (tmp_path / "labels.csv").write_text("file,label\na.png,x\n./b.png,y\n")
    assert load_dataset(tmp_path).notes == (f"left out: 2 not listed in labels.csv, the first {tmp_path}/d.png",)


def test_images_given_as_paths_carry_notes_too(tmp_path: Path) -> None:
    painted(tmp_path, "a.png", "b.png")
    (tmp_path / "c.txt").write_text("no picture")
    source = open_images([tmp_path, tmp_path / "a.png"], image_size=3, channels=3)
    assert (len(source), source.images(range(1, 3)).shape) == (3, (2, 3, 3, 3))
    assert source.notes == (
        f"left out: 1 of no picture format (1 .txt), the first {tmp_path}/c.txt",
        "of 3 images: 3 from grey to three equal channels, 3 cropped about their centre, 3 resized from 4 x 3 to 3 x 3",
    )


def test_what_must_change_is_said(tmp_path: Path) -> None:
    for number, size in enumerate([(40, 30), (40, 30), (8, 8)]):
        painted(tmp_path, f"cat/{number}.png")
        Image.new("RGB" if number else "L", size).save(tmp_path / f"cat/{number}.png")
    data = load_dataset(tmp_path, image_size=8, channels=1)
    assert data.notes == (
        "of 3 images: 2 from colour to grey, 2 cropped about their centre, 2 resized from 40 x 30 to 8 x 8",
    )
    assert data.split("train").notes == data.notes
    digits = load_dataset("digits")
    assert digits.notes == ()
    few = digits.read(digits.items[:5])
    held = in_memory("few", few, Labels(digits.labels[:5]), image_size=14, channels=3)
    assert held.notes == ("of 5 images: 5 from grey to three equal channels, 5 resized from 28 x 28 to 14 x 14",)
    with pytest.raises(ValueError, match=r"shape \(3, 16, 16\) .* got \(1, 8, 8\) in .*channels=3 and image_size=16"):
        data.check_shape((3, 16, 16))
    data.check_shape((1, 8, 8))


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painted(tmp_path, "cat/a.png", "cat/shut/b.png")
    listing = Path.iterdir

    def iterdir(folder: Path) -> Iterable[Path]:
        if folder.name == "shut":
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(ValueError, match=r"a folder that can be read at .*/shut, got Permission denied"):
        load_dataset(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painted(tmp_path, "cat/a.png")

    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=r"whole image .* in .*a\.png, got PermissionError.*Permission denied"):
        load_dataset(tmp_path)


def test_names_that_are_no_text_and_long_ones_are_read(tmp_path: Path) -> None:
    for name in [os.fsdecode(b"caf\xe9.png"), "x" * 251 + ".png", "--out=[b]$x$.png", " .png", "\n.png"]:
        painted(tmp_path, f"cat/{name}")
    painted(tmp_path / "cat", os.fsdecode(b"d\xff/a.png"))
    assert load_dataset(tmp_path).images().shape == (6, 1, 3, 4)


def test_folders_are_walked_however_deep(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(60):
        folder = folder / "d"
    painted(folder, "a.png")
    assert len(list_pictures(tmp_path).pictures) == 1
