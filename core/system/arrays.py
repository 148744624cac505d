"""Files of arrays, NPZ and safetensors, read so that no content does more than fail with one kind of error."""

from __future__ import annotations

import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.system.files import read_bytes

if TYPE_CHECKING:
    import numpy as np

PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compressions that are read: those that NumPy and `export` write."""
MOST_BYTES = 1 << 34
"""Of all arrays of a file together, unpacked."""
MOST_HEADER = 10_000
PARSER_ERRORS = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, SyntaxError, AssertionError),
    *(OSError, EOFError, MemoryError, RuntimeError, struct.error, tokenize.TokenError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, zipfile.LargeZipFile),
)
"""What the parsers of NumPy, zipfile and safetensors raise on bytes that nobody wrote on purpose."""


def read_arrays(path: Path, *, most: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """All arrays of an NPZ file, by name: numbers, truth values and texts, never pickled objects.

    The size of each is checked before it is unpacked, and its checksum after.

    Args:
        path: the file.
        most: bytes of all arrays together.

    Raises:
        UserError: missing, or cannot be read.
        ValueError: damaged, too large, or holds anything else; the message says what.
    """
    content = read_bytes(path, most=most)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_archive(archive, most=most)
            return {
                info.filename.removesuffix(".npy"): _read_array(archive, info)
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except PARSER_ERRORS as error:
        raise ValueError(describe(error)) from None


def check_archive(archive: zipfile.ZipFile, *, most: int) -> None:
    """Checks what a zip says of its files before any of them is unpacked.

    Raises:
        ValueError: a file is encrypted, packed in another way than `PACKED`, or all together are larger than `most`.
    """
    for info in archive.infolist():
        if info.compress_type not in PACKED or info.flag_bits & 0x1:
            raise ValueError(f"'{info.filename[:80]}' is encrypted or packed in a way that is not read")
    if sum(info.file_size for info in archive.infolist()) > most:
        raise ValueError(f"it would need more than {most / 1e9:g} GB of memory")


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array, whose header and bytes have to agree."""
    import numpy as np

    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"version {version} of its format is not read")
        shape, by_columns, dtype = readers[version](member, max_header_size=MOST_HEADER)
        if dtype.hasobject or dtype.names or dtype.subdtype or dtype.kind not in "biufUS":
            raise ValueError(f"'{info.filename}' holds {dtype}, which is not read")
        # The size is known before memory is taken; the end of the file is read as well, where its checksum is checked.
        size = math.prod(shape) * dtype.itemsize
        if any(length < 0 for length in shape) or size > info.file_size:
            raise ValueError(f"'{info.filename}' is shorter than its shape {shape}")
        data = bytearray(member.read())
        if len(data) != size:
            raise ValueError(f"'{info.filename}' has {len(data):,} bytes for its shape {shape}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")


def read_tensors(path: Path, *, most: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """All arrays of a safetensors file, by name.

    Raises:
        UserError: missing, or cannot be read.
        ValueError: damaged, too large, or a number in it is not finite; the message says what.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = read_bytes(path, most=most)
    try:
        arrays = load(content)
        if wrong := [name for name, one in arrays.items() if one.dtype.kind == "f" and not np.isfinite(one).all()]:
            raise ValueError(f"'{wrong[0]}' has numbers that are not finite")
    except (*PARSER_ERRORS, SafetensorError) as error:
        raise ValueError(describe(error)) from None
    return arrays


def check_tensors(path: Path) -> None:
    """Checks that a safetensors file is as long as its header says, without reading what it holds.

    Raises:
        ValueError: it is not, or it has no such header.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            file.keys()
    except (*PARSER_ERRORS, SafetensorError) as error:
        raise ValueError(describe(error)) from None


def describe(error: BaseException) -> str:
    """What a parser says of what it could not read; the kind of the error where it says nothing."""
    words: Any = error.args[0] if isinstance(error, KeyError) and error.args else error
    return f"{words}".partition("\n")[0][:200].rstrip(".") or type(error).__name__
