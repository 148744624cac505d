"""Parquet, Arrow and folders saved by Hugging Face `datasets`: rows of Python's own types, classes by their names."""

from __future__ import annotations

import datetime
import decimal
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.data.readers.package import Opened
from core.data.readers.row import CHUNK, MAX_COLUMNS, Row
from core.system.errors import UserError
from core.system.files import read_json

BATCH = 500
"""Rows that are held at once."""
UNNAMED_INDEX = "__index_level_0__"


@contextmanager
def _arrow_errors(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, OverflowError, EOFError) as error:
        words = (str(error).splitlines() or [""])[0][:200]
        raise UserError(f"{name} is cut short or damaged ({words}). Copy it again.") from None


# One file.


def parquet_rows(file: Opened) -> Iterator[Row]:
    """The rows of a Parquet file.

    Raises:
        UserError: damaged; two columns of one name, or too many.
    """
    import pyarrow.parquet as pq

    with tempfile.TemporaryFile() as unpacked:
        place: Any = file.path
        if place is None:  # Parquet is read from its end
            shutil.copyfileobj(file.stream, unpacked, CHUNK)
            place = unpacked
        with _arrow_errors(file.title), pq.ParquetFile(place) as table:
            schema = table.schema_arrow
            _check_columns(file.title, schema.names)
            yield from _rows(file.title, table.iter_batches(batch_size=BATCH), _features(schema))


def arrow_rows(file: Opened) -> Iterator[Row]:
    """The rows of an Arrow file: Feather, or the stream that `datasets` keeps.

    Raises:
        UserError: as of `parquet_rows`.
    """
    import pyarrow as pa

    with tempfile.TemporaryFile() as unpacked, _arrow_errors(file.title):
        shutil.copyfileobj(file.stream, unpacked, CHUNK)
        unpacked.seek(0)
        is_file = unpacked.read(6) == b"ARROW1"
        unpacked.seek(0)
        if is_file:
            with pa.ipc.open_file(unpacked) as opened:
                _check_columns(file.title, opened.schema.names)
                batches = (opened.get_batch(number) for number in range(opened.num_record_batches))
                yield from _rows(file.name, _pieces(batches), _features(opened.schema))
        else:
            with pa.ipc.open_stream(unpacked) as stream:
                _check_columns(file.title, stream.schema.names)
                yield from _rows(file.title, _pieces(stream), _features(stream.schema))


def _check_columns(name: str, columns: list[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise UserError(f"{name}: {len(columns):,} columns, at most {MAX_COLUMNS:,} can be read.")
    twice = next((column for column, times in Counter(columns).items() if times > 1), None)
    if twice is not None:
        at = " and ".join(str(number) for number, column in enumerate(columns, 1) if column == twice)
        raise UserError(
            f"{name}: two columns are named '{twice}' ({at}). Rename one of them, for example with pyarrow: "
            "table.rename_columns([...])."
        )


def _features(schema: Any) -> dict[str, Any]:
    """The features of `datasets` that a schema carries."""
    try:
        kept = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = kept["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _pieces(batches: Iterable[Any]) -> Iterator[Any]:
    return (batch.slice(start, BATCH) for batch in batches for start in range(0, batch.num_rows, BATCH))


def _rows(name: str, batches: Iterable[Any], features: dict[str, Any], part: str = "") -> Iterator[Row]:
    named = {column: feature for column, feature in features.items() if _holds_classes(feature)}
    place = 0
    for batch in batches:
        for values in _values(name, batch, place):
            place += 1
            for column, feature in named.items():
                if column in values:
                    values[column] = _named(name, place, values[column], feature)
            if UNNAMED_INDEX in values:
                values.setdefault("index", values.pop(UNNAMED_INDEX))
            yield Row(place, values | ({"split": part} if part else {}))


def _values(name: str, batch: Any, done: int) -> Iterator[dict[str, Any]]:
    """The rows of a batch in Python's own types; bytes that are no UTF-8 become lone surrogates, as in text files."""
    import pyarrow as pa

    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        columns = [_without_text(column) for column in batch.columns]
        try:
            rows = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
        except UnicodeDecodeError:
            raise UserError(
                f"{name}, rows {done + 1:,} to {done + batch.num_rows:,}: a text inside of an object is no UTF-8. "
                "Write the file again from its source."
            ) from None
    except (ValueError, OverflowError, pa.ArrowException) as error:
        words = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"{name}, rows {done + 1:,} to {done + batch.num_rows:,}: a value that cannot be read ({words}). Write its "
            "column as text."
        ) from None
    maps = {field.name for field in batch.schema if pa.types.is_map(field.type)}
    for values in rows:
        yield {
            column: _plain(dict(value) if column in maps and value is not None else value)
            for column, value in values.items()
        }


def _without_text(column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _without_text(column.dictionary_decode())
    if pa.types.is_string(kind):
        return column.cast(pa.binary())
    if pa.types.is_large_string(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_list(kind) and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)):
        return column.cast(pa.list_(pa.large_binary()))
    return column


def _plain(value: Any) -> Any:
    """A value as text, number, true, false, none, list or object."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)


# Classes.


def _is_class(feature: Any) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "ClassLabel"


def _holds_classes(feature: Any) -> bool:
    if isinstance(feature, list):
        return any(map(_holds_classes, feature))
    if not isinstance(feature, dict):
        return False
    return _is_class(feature) or any(_holds_classes(inner) for inner in feature.values())


def _named(name: str, place: int, value: Any, feature: Any) -> Any:
    """A value with the numbers of a `ClassLabel` as names, at any depth; -1 is no label."""
    if _is_class(feature):
        return _class_name(name, place, value, feature.get("names") or [])
    # `Sequence` and `List` hold their feature; older versions wrote a list of one.
    inner = feature[0] if isinstance(feature, list) and feature else feature
    if isinstance(inner, dict) and inner.get("_type") in ("Sequence", "List", "LargeList"):
        inner = inner.get("feature")
    if isinstance(value, list):
        if _is_class(inner):
            return [found for item in value if (found := _named(name, place, item, inner)) is not None]
        return [_named(name, place, item, inner) for item in value]
    if isinstance(value, dict) and isinstance(inner, dict):
        return {key: _named(name, place, item, inner.get(key)) for key, item in value.items()}
    return value


def _class_name(name: str, place: int, value: Any, known: Any) -> Any:
    if isinstance(value, list):
        return [_class_name(name, place, item, known) for item in value]
    if value is None or isinstance(value, str) or not isinstance(known, list) or not known:
        return value
    if value == -1:
        return None
    if not isinstance(value, int) or not 0 <= value < len(known):
        raise UserError(f"{name}, row {place}: label number {value} of {len(known):,} named labels.")
    return str(known[value])


# Folders saved by `datasets`.


def saved_rows(path: Path) -> Iterator[Row]:
    """The rows of a folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote.

    Raises:
        UserError: what these notes say is missing, leads out of the folder, or makes no sense.
    """
    if not path.joinpath("dataset_dict.json").is_file():
        yield from _part_rows(path, path)
        return
    parts = _object(path, "dataset_dict.json").get("splits", [])
    if not isinstance(parts, list) or not parts:
        raise UserError(f"{path.name}: dataset_dict.json names no parts (splits).")
    for part in map(str, parts):
        yield from _part_rows(path, _inside(path, path / part), part)


def _object(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = read_json(folder / name)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{folder.name}: {name} is damaged ({type(error).__name__}).") from None
    if not isinstance(found, dict):
        raise UserError(f"{folder.name}: {name} is no object, as `datasets` writes it.")
    return found


def _inside(root: Path, path: Path) -> Path:
    """A file or folder that lies in `root`, whatever a link or its name says."""
    try:
        is_inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        is_inside = False
    if not is_inside:
        raise UserError(f"{root}: '{path.name[:100]}' lies outside of the folder; it was not read.")
    return path


def _files(root: Path, folder: Path, state: dict[str, Any], key: str) -> list[Path]:
    listed = state.get(key) or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) and "filename" in one for one in listed):
        raise UserError(f"{folder.name}: state.json names no files under '{key}', as `datasets` does.")
    files = [_inside(root, folder / str(one["filename"])) for one in listed]
    if missing := next((file for file in files if not file.is_file()), None):
        raise UserError(
            f"{folder.name}: {missing.name[:100]}, which state.json names, is missing. Copy the whole folder."
        )
    return files


def _part_rows(root: Path, folder: Path, part: str = "") -> Iterator[Row]:
    import pyarrow as pa

    state = _object(folder, "state.json")
    files = _files(root, folder, state, "_data_files")
    if not files:
        raise UserError(f"{folder}: state.json names no data files.")
    info = _object(folder, "dataset_info.json") if folder.joinpath("dataset_info.json").is_file() else {}
    features = info.get("features")
    features = features if isinstance(features, dict) else {}
    # An index says which rows there are, in which order.
    indexed = _files(root, folder, state, "_indices_files")
    if indexed:
        with _arrow_errors(str(folder)):
            table = pa.concat_tables([_mapped(file) for file in files])
            index = pa.concat_tables([_mapped(file) for file in indexed]).column(0)
            slices = (index.slice(start, BATCH) for start in range(0, len(index), BATCH))
            taken = (batch for rows in slices for batch in table.take(rows).combine_chunks().to_batches())
            _check_columns(folder.name, table.schema.names)
            yield from _rows(folder.name, taken, _features(table.schema) | features, part)
        return
    for file in files:
        with _arrow_errors(file.name), pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as batches:
            _check_columns(file.name, batches.schema.names)
            yield from _rows(file.name, _pieces(batches), _features(batches.schema) | features, part)


def _mapped(file: Path) -> Any:
    import pyarrow as pa

    with pa.memory_map(str(file)) as mapped:
        return pa.ipc.open_stream(mapped).read_all()
