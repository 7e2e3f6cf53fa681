"""Arrays on disk come back as they were written, and files that are not whole are one error, whatever byte is wrong."""

import io
import random
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from latentry.array_files import read_npy, read_npz
from latentry.priors.matlab_file import read_mat
from latentry.priors.table_files import read_table

MOST = 2**20
DTYPES = ["i1", "u1", "<i2", ">i2", "<u4", "<i8", ">u8", "<f2", "<f4", ">f8", "<c8", "<U3", "S4", "?"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (3, 1, 2)])
def test_an_array_is_read_as_numpy_reads_it(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    for name, array in (("c", values), ("f", np.asfortranarray(values))):
        np.save(tmp_path / f"{name}.npy", array)
        found = read_npy(tmp_path / f"{name}.npy")
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, np.load(tmp_path / f"{name}.npy"))
    np.savez(tmp_path / "plain.npz", a=values, b=np.ones(2))
    np.savez_compressed(tmp_path / "packed.npz", a=values, b=np.ones(2))
    for archive in ("plain.npz", "packed.npz"):
        found_both = read_npz(tmp_path / archive)
        assert set(found_both) == {"a", "b"}
        np.testing.assert_array_equal(found_both["a"], values)


def npy(header: str, body: bytes = b"", version: int = 1) -> bytes:
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack("<H" if version == 1 else "<I", len(header))
        + header.encode()
        + body
    )


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (100000000,), }\n", bytes(8)),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n", bytes(8)),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1, " * 40 + "), }\n", bytes(8)),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }\n", bytes(8)),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", bytes(8)),
        npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }\n", bytes(8)),
        npy("(" * 9000, bytes(8)),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", bytes(8), version=9),
        b"\x93NUM",
        b"",
    ],
    ids=["large", "negative", "axes", "digits", "objects", "fields", "nested", "version", "short", "empty"],
)  # fmt: skip
def test_a_header_is_compared_with_what_is_there(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npy is not a whole \.npy file"):
        read_npy(tmp_path / "a.npy")


def test_archives_of_zeros_and_missing_files_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "zeros.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        header = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000,), }\n")
        archive.writestr("a.npy", header + bytes(8_000_000))
    assert (tmp_path / "zeros.npz").stat().st_size < 10_000
    with pytest.raises(ValueError, match="within 1048576 bytes"):
        read_npz(tmp_path / "zeros.npz", most=MOST)
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(ValueError, match="no such file"):
            read_npz(path)


CLASSES = ["double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", CLASSES)
def test_a_matlab_array_is_read_as_scipy_reads_it(name: str, compressed: bool, tmp_path: Path) -> None:
    values = np.arange(6).astype({"double": "f8", "single": "f4"}.get(name, name))
    arrays = {"p": values[:, None], "a_long_name_of_an_array": values.reshape(2, 3), "few": values[:1], "none": values[:0]}
    others = {"words": "text", "pair": {"a": 1.0}, "complex": np.array([1j, 2.0]), "flag": np.array([True, False])}
    savemat(tmp_path / "a.mat", arrays | others, do_compression=compressed)
    found, scipys = read_mat(tmp_path / "a.mat", most=MOST), loadmat(tmp_path / "a.mat")
    assert set(found) == {*arrays, "flag"}
    for key in found:
        assert found[key].dtype == scipys[key].dtype
        np.testing.assert_array_equal(found[key], scipys[key])


def matrix(values: np.ndarray, kind: int, order: str, stored: str) -> bytes:
    """A double array of level 5 by its specification, its numbers stored in another type."""

    def element(number: int, body: bytes) -> bytes:
        return struct.pack(f"{order}II", number, len(body)) + body + bytes(-len(body) % 8)

    body = element(6, struct.pack(f"{order}II", 6, 0)) + element(5, np.array(values.shape, f"{order}i4").tobytes())
    name = struct.pack(f"{order}I", 1 << 16 | 1) + b"p\0\0\0"  # a small element
    return element(14, body + name + element(kind, values.astype(order + stored).tobytes(order="F")))


@pytest.mark.parametrize(("order", "mark"), [("<", b"IM"), (">", b"MI")])
@pytest.mark.parametrize(("kind", "stored"), [(2, "u1"), (3, "i2"), (9, "f8")])
def test_either_byte_order_and_narrow_storage_are_read(
    order: str, mark: bytes, kind: int, stored: str, tmp_path: Path
) -> None:
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    header = b"MATLAB 5.0".ljust(124) + struct.pack(f"{order}H", 0x100) + mark
    plain = matrix(values, kind, order, stored)
    packed = zlib.compress(plain)
    for body in (plain, struct.pack(f"{order}II", 15, len(packed)) + packed):
        (tmp_path / "a.mat").write_bytes(header + body)
        np.testing.assert_array_equal(read_mat(tmp_path / "a.mat", most=MOST)["p"], values)
        np.testing.assert_array_equal(loadmat(tmp_path / "a.mat")["p"], values)


def test_matlab_files_of_other_levels_and_bombs_are_named(tmp_path: Path) -> None:
    savemat(tmp_path / "four.mat", {"p": np.ones(5)}, format="4")
    with pytest.raises(ValueError, match="none of level 5; save it with -v7"):
        read_mat(tmp_path / "four.mat", most=MOST)
    hdf = b"MATLAB 7.3 MAT-file".ljust(124) + struct.pack("<H", 0x200) + b"IM" + bytes(384) + b"\x89HDF\r\n\x1a\n"
    (tmp_path / "seven.mat").write_bytes(hdf)
    with pytest.raises(ValueError, match=r"MATLAB 7\.3, which is HDF5"):
        read_mat(tmp_path / "seven.mat", most=MOST)
    savemat(tmp_path / "zeros.mat", {"p": np.zeros(10**6)}, do_compression=True)
    with pytest.raises(ValueError, match="longer or cut short"):
        read_mat(tmp_path / "zeros.mat", most=MOST)


def written(kind: str, path: Path) -> bytes:
    probs = np.array([0.1, 0.0, 0.4, 0.2, 0.3])
    if kind == ".npy":
        np.save(path, probs)
    elif kind == ".npz":
        np.savez_compressed(path, probs=probs, low=-1.0, high=3.0)
    elif kind == ".json":
        path.write_text('{"probs": [0.1, 0.0, 0.4, 0.2, 0.3], "low": -1.0, "high": 3.0}')
    else:
        savemat(path, {"p": probs[:, None], "word": "x"}, do_compression=kind == "packed.mat")
    return path.read_bytes()


@pytest.mark.parametrize("kind", [".npy", ".npz", ".json", ".mat", "packed.mat"])
def test_a_table_with_a_wrong_byte_is_read_or_one_error(kind: str, tmp_path: Path) -> None:
    """Each byte in turn takes a few other values; some bytes matter to nobody. Then bytes are cut off, or put in."""
    path = tmp_path / f"table{Path('a' + kind).suffix}"
    whole = written(kind, path)
    draw = random.Random(0)
    changed = []
    for place in range(len(whole)):
        for value in {255, whole[place] ^ 1 << draw.randrange(8)} - {whole[place]}:
            changed.append(whole[:place] + bytes([value]) + whole[place + 1 :])
    for _ in range(100):
        start = draw.randrange(len(whole))
        changed += [whole[:start], whole[:start] + whole[start + draw.randrange(1, 9) :]]
        changed.append(whole[:start] + draw.randbytes(draw.randrange(1, 9)) + whole[start:])
    messages = []
    for content in changed:
        path.write_bytes(content)
        try:
            probs, _ = read_table(path)
        except ValueError as error:
            messages.append(str(error))
        else:
            assert abs(probs.sum() - 1) < 1e-6
    assert len(messages) > len(changed) / 4
    assert all("table" in message for message in messages)  # the file's name


def test_a_table_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([print, 0.5], dtype=object), allow_pickle=True)
    (tmp_path / "a.npy").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="objects are not read"):
        read_table(tmp_path / "a.npy")
