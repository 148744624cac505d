"""Reuters in both layouts, written from records: what the readers have to give back."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from core.data.readers import Record

HEAD = '<!DOCTYPE lewis SYSTEM "lewis.dtd">\n'
SPLITS = {"train": ("YES", "TRAIN"), "test": ("YES", "TEST"), "unused": ("NO", "NOT-USED")}

EXAMPLES = [
    Record("7", "GOLD AND PLATINUM RISE", "Up <in London> & Rome.\n    They said", ("gold", "platinum"), "train"),
    Record("3", "GOLD FALLS", "It fell.", ("gold",), "test"),
    Record("12", "MAIZE", "Maize & more.", ("corn", "grain"), "train"),
    Record("10", "CORN", "Less of it.", ("grain", "corn"), "test"),
    Record("5", "NOTHING", "No part of the split.", ("gold",), "unused"),
    Record("9", "EARNINGS", "Topic of the train part alone.", ("earn",), "train"),
]  # fmt: skip
"""Out of order, one outside of the split, one with a topic that no test document has."""


def escaped(text: str) -> str:
    """As in the distribution: `<`, `>` and `&` by name, what ASCII has not by number."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(letter if letter.isascii() else f"&#{ord(letter)};" for letter in text)


def sgml(records: Iterable[Record]) -> bytes:
    """One `.sgm` file."""
    documents = []
    for record in records:
        topics, split = SPLITS[record.part]
        labels = "".join(f"<D>{escaped(label)}</D>" for label in record.labels)
        documents.append(
            f'<REUTERS TOPICS="{topics}" LEWISSPLIT="{split}" CGISPLIT="TRAINING-SET" OLDID="1" NEWID="{record.id}">\n'
            f"<DATE>26-FEB-1987</DATE>\n<TOPICS>{labels}</TOPICS>\n<PLACES><D>usa</D></PLACES>\n"
            f"<UNKNOWN>\n&#5;&#5;C\n</UNKNOWN>\n<TEXT>&#2;\n<TITLE>{escaped(record.title)}</TITLE>\n"
            f"<DATELINE>    LONDON, Feb 26 - </DATELINE><BODY>{escaped(record.body)}&#3;</BODY></TEXT>\n</REUTERS>\n"
        )
    return (HEAD + "".join(documents)).encode("ascii")


def write_sgml_folder(path: Path, records: list[Record], *, per_file: int = 4) -> Path:
    """A folder of `reut2-*.sgm`."""
    path.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(records), per_file)):
        path.joinpath(f"reut2-{number:03}.sgm").write_bytes(sgml(records[start : start + per_file]))
    path.joinpath("README.txt").write_text("not a document")
    return path


def write_archive(path: Path, records: list[Record], *, per_file: int = 4, prefix: str = "./") -> Path:
    """`reuters21578.tar.gz`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for number, start in enumerate(range(0, len(records), per_file)):
            content = sgml(records[start : start + per_file])
            member = tarfile.TarInfo(f"{prefix}reut2-{number:03}.sgm")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        archive.addfile(tarfile.TarInfo("README.txt"))
    return path


def nltk_files(records: Iterable[Record]) -> dict[str, bytes]:
    """NLTK's layout, by path. It holds no document outside of the split."""
    used = [record for record in records if record.part != "unused"]
    names = [f"{'training' if record.part == 'train' else 'test'}/{record.id}" for record in used]
    files = {
        name: f"{escaped(record.title)}\n  {escaped(record.body)}\n\n".encode("ascii")
        for name, record in zip(names, used, strict=True)
    }
    lines = (f"{name} {' '.join(record.labels)}\n" for name, record in zip(names, used, strict=True))
    return files | {"cats.txt": "".join(lines).encode(), "README": b"not a document"}


def write_nltk_folder(path: Path, records: Iterable[Record]) -> Path:
    """NLTK's layout as a folder."""
    for part in ("training", "test"):
        path.joinpath(part).mkdir(parents=True, exist_ok=True)
    for name, content in nltk_files(records).items():
        path.joinpath(name).write_bytes(content)
    return path


def write_nltk_zip(path: Path, records: Iterable[Record], *, prefix: str = "reuters/") -> Path:
    """NLTK's layout as a zip, members under `prefix`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in nltk_files(records).items():
            archive.writestr(prefix + name, content)
    return path
