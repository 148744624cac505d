"""What a file is that is no collection of texts, by its first bytes; and the way out of it."""

from __future__ import annotations

import re

from core.system.errors import UserError

READ = (
    "Tailscope reads CSV, TSV, JSON, JSON lines, Parquet, Arrow, Excel, fastText and PubMed XML (plain, gz, bz2, xz, "
    "zst, zip or tar), and folders of them or of Hugging Face `datasets`."
)
_TABLE = "write its table as CSV, for example with pandas: frame.to_csv('documents.csv', index=False)"
_TEXT = "write its text into a column of a CSV file, one document in each row"
KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF", _TEXT),
    (b"{\\rtf", "a text in RTF", _TEXT),
    (b"SQLite format 3\0", "an SQLite database", "write the table as CSV: sqlite3 -csv -header FILE 'select ...'"),
    (b"\x89PNG", "a picture (PNG)", _TEXT),
    (b"\xff\xd8\xff", "a picture (JPEG)", _TEXT),
    (b"GIF8", "a picture (GIF)", _TEXT),
    (b"II*\0", "a picture (TIFF)", _TEXT),
    (b"MM\0*", "a picture (TIFF)", _TEXT),
    (b"\x89HDF", "a file of HDF5", _TABLE),
    (b"\x93NUMPY", "an array of NumPy", _TABLE),
    (b"ORC", "a table of ORC", _TABLE),
    (b"Obj\x01", "a table of Avro", _TABLE),
    (b"RDX2\n", "data of R", "write it in R: write.csv(frame, 'documents.csv', row.names = FALSE)"),
    (b"RDX3\n", "data of R", "write it in R: write.csv(frame, 'documents.csv', row.names = FALSE)"),
    (b"X\n\0\0\0", "data of R (rds)", "write it in R: write.csv(frame, 'documents.csv', row.names = FALSE)"),
    (b"$FL2", "data of SPSS", _TABLE),
    (b"<stata_dta>", "data of Stata", _TABLE),
    (b"7z\xbc\xaf\x27\x1c", "a package of 7-Zip", "unpack it, and pack it as zip or gz"),
    (b"Rar!\x1a\x07", "a package of RAR", "unpack it, and pack it as zip or gz"),
    (b"\x7fELF", "a program", "name the file that holds the documents"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch it with `git lfs pull`"),
)
"""First bytes, what they mean, and what to do."""


def refuse(name: str, kind: str, way: str, *, is_text: bool = True) -> UserError:
    """The sentence for a kind of file that is not read."""
    words = f"is {kind}, which is not read here" if is_text else f"is no text file but {kind}"
    return UserError(f"{name} {words}: {way}. {READ}")


def check_kind(name: str, start: bytes) -> None:
    """Raises `UserError` where the first bytes are those of a known kind that is not read."""
    for magic, kind, way in KINDS:
        if start.startswith(magic):
            raise refuse(name, kind, way, is_text=False)
    if re.match(rb"\x80[\x02-\x05]", start) and (start[2:3] in b"\x95}]c(KXJ\x8c" or b"\n" in start[:80]):
        raise refuse(name, "a pickle of Python, which may run any code once opened", _TABLE, is_text=False)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        raise refuse(name, "a picture (WebP)", _TEXT, is_text=False)
    text = start[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        raise refuse(name, "a page of HTML", f"{_TEXT}; a download may have met a page that asks to sign in")
    if re.search(rb"(?m)^@relation\b", text) and re.search(rb"(?m)^@(attribute|data)\b", text):
        raise refuse(
            name,
            "a file of Mulan or Weka (ARFF)",
            "write texts and labels as CSV, for example with scipy.io.arff or the package arff and pandas",
        )


def check_office(name: str, kind: str) -> None:
    """Raises `UserError` for documents of an office program that are no workbook."""
    if kind and kind != "workbook":
        raise refuse(name, kind, _TEXT)


def no_text(name: str) -> UserError:
    """The sentence for bytes that are no text in any encoding known here."""
    return UserError(f"{name} is no text file. {READ}")
