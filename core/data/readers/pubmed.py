"""PubMed's XML: a citation is a document, its MeSH headings are labels; under the keys of BioASQ's files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from core.data.readers.row import Row
from core.system.errors import UserError

ROOTS = re.compile(rb"<(PubmedArticleSet|MedlineCitationSet|PubmedArticle|MedlineCitation)[\s>]")


def is_pubmed(start: bytes) -> bool:
    """Whether the first bytes of an XML file are those of PubMed's."""
    return bool(ROOTS.search(start))


def pubmed_rows(name: str, stream: BinaryIO) -> Iterator[Row]:
    """The citations of a file, whatever its size; places are numbers of citations.

    Raises:
        UserError: no well-formed XML, or one that defines entities of its own.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    place, path = 0, list[Any]()
    try:
        for event, element in iterparse(stream, events=("start", "end"), forbid_entities=True, forbid_external=True):
            if event == "start":
                path.append(element)
                continue
            path.pop()
            if element.tag == "MedlineCitation":
                place += 1
                yield Row(place, _citation(element))
                element.clear()
            elif element.tag == "PubmedArticle" and path:
                path[-1].clear()
    except ParseError as error:
        line, column = error.position
        words = f"this is not XML ({str(error).partition(':')[0]}). Is it cut short?"
        raise UserError(f"{name}, line {line}, column {column + 1}: {words}") from None
    except DefusedXmlException:
        raise UserError(f"{name} defines XML entities of its own, which are not followed: it was not read.") from None


def _citation(element: Any) -> dict[str, Any]:
    def texts(path: str) -> list[str]:
        return [text for one in element.iterfind(path) if (text := " ".join("".join(one.itertext()).split()))]

    year = texts("Article/Journal/JournalIssue/PubDate/Year") or texts(
        "Article/Journal/JournalIssue/PubDate/MedlineDate"
    )
    values: dict[str, Any] = {
        "pmid": next(iter(texts("PMID")), ""),
        "title": " ".join(texts("Article/ArticleTitle")),
        "abstractText": "\n".join(texts("Article/Abstract/AbstractText")),
        "meshMajor": texts("MeshHeadingList/MeshHeading/DescriptorName"),
    }
    return values | ({"year": year[0][:4]} if year else {})
