"""Runs as one page of HTML that needs nothing else: a verdict, charts, what is confused, tables, provenance."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from core.analysis import export, tables, verdict
from core.analysis.compare import forest_table, label_scores
from core.analysis.decisions import decide
from core.analysis.samples import RANKING, Comparison, sample
from core.analysis.tables import Row
from core.analysis.views import View
from core.figures import report_charts
from core.figures.compare import smooth
from core.figures.looks import Look, assign_looks
from core.figures.views import Load, draw
from core.labels.groups import Borders, group_sizes, rank_by_frequency
from core.metrics import confusion
from core.runs import results
from core.runs.predictions import read_predictions
from core.system.errors import UserError

PAIRS = 3
"""Confused pairs of a row."""
MOST_BYTES = 1_200_000
"""Of the views that were added: the page stays below 2 MB."""
IDS = 12
"""Documents of a pair that are named."""
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --faint: #667080; --line: #d9dee6; --card: #f4f6fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --paper: #12161c; --faint: #98a2b1; --line: #333b47; --card: #1b212a; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1060px; margin: 2rem auto; padding: 0 16px;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { margin-bottom: .3rem; } h2 { margin-top: 2.2rem; }
.verdict { font-size: 19px; line-height: 1.45; background: var(--card); padding: .8rem 1.1rem; border-radius: 8px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-size: 12.5px; overflow-wrap: normal; }
th, td { padding: .25rem .45rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; min-width: 90px; max-width: 230px; overflow-wrap: anywhere; }
th { white-space: nowrap; }
th[colspan] { text-align: center; border-bottom: 0; }
td small { display: block; white-space: nowrap; font-size: 10.5px; }
td.text, th.text { text-align: left; overflow-wrap: anywhere; } .published, small { color: var(--faint); }
figure { margin: 0 0 1rem; } svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
svg:not(.marks) text { fill: var(--ink); } svg .grid { stroke: var(--line); }
svg .edge { stroke: var(--faint); stroke-dasharray: 2 4; }
.view > div:has(svg) { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 10px; }
.view > div:empty { display: none; } .view table { margin: 0; } svg.marks { width: auto; max-width: 100%; }
code { font-size: 12px; } summary { cursor: pointer; } figcaption, .note { color: var(--faint); font-size: 13px; }
"""


def to_html(parts: Sequence[tuple[str, Comparison]], added: Sequence[View] = (), *, load: Load = sample) -> str:
    """A page that tells what the runs of each data set say; names are escaped, and there is no script.

    Args:
        parts: name of a data set and split, and its rows at one rule.
        added: views that people added; those of each data set stand before its tables.
        load: gives the scores of a run with resamples, for these views.
    """
    body, room = [], MOST_BYTES
    for name, compared in parts:
        drawn = _added([view for view in added if view.data == name], room, load)
        body += _part(name, compared, drawn)
        room -= sum(map(len, drawn))
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tailscope</title><style>{STYLE}</style>'
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}{viewport}</head><body>{''.join(body)}</body></html>\n"


def _part(name: str, compared: Comparison, added: Sequence[str]) -> list[str]:
    """One data set: the verdict, charts, what is confused, views, then tables and where the numbers come from."""
    rows, rule = compared.rows, compared.rule
    looks = assign_looks({row.name: row.runs[0] for row in rows})
    parts = [f"<h1>{html.escape(name or 'No runs')}</h1>"]
    parts += [f"<p>{html.escape(problem)}</p>" for problem in compared.problems]
    parts += _verdict(compared)
    numbers: list[tables.Table] = [RANKING] if rule == RANKING else list(tables.GROUPS)
    frames = {number: tables.paper_table(rows, compared.sampled, table=number, rule=rule) for number in numbers}
    parts += _charts(compared, frames[numbers[0]], looks)
    if rule != RANKING and rows:
        parts += ["<h2>What is confused</h2>", *_confused(rows, rule)]
    parts += added
    # Tables.
    for number, frame in frames.items():
        title = "Rankings" if number == RANKING else f"Table {number}"
        words = " ".join([tables.caption(number, rule), *tables.notes(frame)])
        parts += [f"<h2>{title}</h2><p class='note'>{html.escape(words)}</p>", _score_table(frame)]
    # Parts of the loss, provenance.
    parts_of_db = tables.ablation(rows, compared.sampled, rule=rule)
    chosen = parts_of_db[parts_of_db["group"].isin(["total", "tail"]) & parts_of_db["score"].isin(["macro", "ap"])]
    if not chosen.empty:
        measure = "average precision" if rule == RANKING else "macro-F1"
        parts += [f"<h2>What each part of DB adds to {measure} (points)</h2>", _difference_table(chosen)]
    lines = "".join(f"<li><code>{html.escape(line)}</code></li>" for line in tables.provenance(rows, rule=rule))
    return [*parts, f"<h2>Where the numbers come from</h2><ul>{lines}</ul>"]


def _verdict(compared: Comparison) -> list[str]:
    """What the rows say in words: the first question in large letters, the others below it."""
    rows, rule = compared.rows, compared.rule
    if len(rows) < 2 or len({row.fingerprint for row in rows}) > 1:
        return []
    documents = results.count_documents(results.read_results(rows[0].runs[0]), "test")
    questions = verdict.questions_at(rule)
    said = [
        f"<b>{questions[one.column]}.</b> {html.escape(verdict.in_words(one, documents=documents))}"
        for one in verdict.find(rows, compared.sampled, rule=rule)
    ]
    alone = html.escape(verdict.words_of_single_seeds(rows))
    first = [f'<p class="verdict">{said[0]}</p>'] if said else []
    others = [f"<ul>{''.join(f'<li>{line}</li>' for line in said[1:])}</ul>"] if said[1:] else []
    return [*first, *others, *([f"<p class='note'>{alone}</p>"] if alone else [])]


def _charts(compared: Comparison, frame: pd.DataFrame, looks: Mapping[str, Look]) -> list[str]:
    """The forest plot of all labels and of the tail, and scores along the tail."""
    rule = compared.rule
    wanted = {"total_ap": "all labels: average precision (%)", "tail_ap": "tail labels: average precision (%)"}
    if rule != RANKING:
        wanted = {"total_micro": "all labels: micro-F1 (%)", "tail_macro": "tail labels: macro-F1 (%)"}
    panels = {title: forest_table(frame, compared.sampled, column)[0] for column, title in wanted.items()}
    parts = []
    if drawn := report_charts.forest({title: rows for title, rows in panels.items() if len(rows)}, looks):
        parts += ["<h2>How sure that is</h2>", f"<figure>{drawn}<figcaption>{FOREST}</figcaption></figure>"]
    lines, edges, labels = _ranks(compared.rows, rule)
    if drawn := report_charts.by_rank(lines, looks, edges, labels):
        measure = "Average precision" if rule == RANKING else "F1"
        words = f"{measure} of each label (%), smoothed; dotted: between head, medium and tail."
        parts += ["<h2>Along the tail</h2>", f"<figure>{drawn}<figcaption>{words}</figcaption></figure>"]
    return parts


def _added(views: Sequence[View], room: int, load: Load) -> list[str]:
    """Views that people added, each drawn again and below its title; a sentence where one cannot be, or has no room."""
    parts = ["<h2>Views that were added</h2>"] if views else []
    for view in views:
        try:
            drawn, caption = draw(view, load)
            if sum(map(len, parts)) + len(drawn) > room:
                drawn, caption = "", "Left out: the page holds no more than 2 MB. Remove other views."
        except UserError as error:
            drawn, caption = "", f"This view cannot be drawn: {error}"
        day, by = time.strftime("%Y-%m-%d", time.gmtime(view.when)), f" by {view.by}" if view.by else ""
        where = f"Added{by}, {day}: {view.page}?{urlencode(view.query, doseq=True)}"
        parts.append(
            f"<h3>{html.escape(view.title)}</h3><figure class='view'><div class='wide'>{drawn}</div><figcaption>"
            f"{html.escape(caption)}<br><small>{html.escape(where)}</small></figcaption></figure>"
        )
    return parts


FOREST = "Test part; lines are 95 % intervals, dashed where they hold no seed noise. Point at a row for its numbers."


def _ranks(rows: Sequence[Row], rule: str) -> tuple[dict[str, np.ndarray], list[float], int]:
    """Smoothed scores by rank of the rows that have the first one's labels, the ranks between groups, and labels."""
    alike = [
        row
        for row in rows
        if results.read_results(row.runs[0])["labels"] == results.read_results(rows[0].runs[0])["labels"]
    ]
    lines, edges, labels = dict[str, np.ndarray](), list[float](), 1
    for row in alike:
        metrics = results.read_results(row.runs[0])
        counts = np.asarray(metrics["counts"])
        try:
            scores = np.mean([label_scores(run, rule) for run in row.runs], axis=0)
        except UserError:
            continue  # its predictions are damaged: it keeps its row in the tables
        ranks, labels = rank_by_frequency(counts), len(counts)
        lines[row.name] = smooth(100 * scores[np.argsort(ranks)], width=max(labels / 18, 1.0))
        sizes = group_sizes(counts, Borders(**metrics["borders"]))
        edges = [float(edge) + 0.5 for edge in np.cumsum(list(sizes.values()))[:-1]]
    return lines, edges, labels


def _confused(rows: Sequence[Row], rule: str) -> list[str]:
    """The most confused pairs of every row with their documents; those of the first one are open."""
    found = [_pairs(row, rule) for row in rows]
    return [f"<details{' open' if not number else ''}>{pairs}</details>" for number, pairs in enumerate(found)]


def _table(head: Sequence[str], body: Sequence[str], *, words: Sequence[str] = ()) -> str:
    """A table; the columns of `words` begin at their left."""
    cells = "".join(f"<th{' class=text' if cell in words else ''}>{html.escape(cell)}</th>" for cell in head)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _score_table(frame: pd.DataFrame) -> str:
    """A table with a heading for each group, each interval below its score."""
    columns, body = tables.columns_in(frame), []
    for row in frame.to_dict("records"):
        cells = [f"<td>{html.escape(export.title(row))}</td>"]
        for column in columns:
            value, interval = export.cell(row, column)
            value = f"<b>{value}</b>" if export.is_bold(row, column) else value or "–"
            cells.append(f"<td>{value}{f'<small>{interval}</small>' if interval else ''}</td>")
        body.append(f'<tr class="{row["source"]}">{"".join(cells)}</tr>')
    headings = [tables.heading(column) for column in columns]
    groups = "".join(
        f'<th colspan="{len(list(alike))}">{html.escape(group)}</th>'
        for group, alike in groupby(headings, key=lambda pair: pair[0])
    )
    scores = "".join(f"<th>{html.escape(score)}</th>" for _, score in headings)
    head = f"<tr><th></th>{groups}</tr><tr><th></th>{scores}</tr>"
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(body)}</tbody></table></div>'


def _difference_table(frame: pd.DataFrame) -> str:
    body = []
    for row in frame.to_dict("records"):
        change = f"{row['difference']:+.2f}"
        paper = "–" if pd.isna(row["published"]) else f"{row['published']:+.2f}"
        words = [row["part"], row["without"], row["with"], row["group"]]
        cells = [*(html.escape(word) for word in words), f"<b>{change}</b>" if row["significant"] else change]
        ends = f"{row['low']:+.2f} to {row['high']:+.2f}"
        cells += [ends if row["tested"] else f"[{ends}] documents alone", paper]
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return _table(["part", "without", "with", "labels", "change", "95 %", "in the paper"], body)


def _pairs(row: Row, rule: str) -> str:
    """The most confused pairs of a row's first run, with the ids of their documents."""
    run = row.runs[0]
    name = f"<summary><b>{html.escape(row.name)}</b> <small>{html.escape(run.id)}</small></summary>"
    try:
        predictions, labels = read_predictions(run), results.read_results(run)["labels"]
        predicted = decide(run, rule).predicted
    except UserError as error:
        return f"{name}<p>{html.escape(str(error))}</p>"
    table = confusion.confused_pairs(predictions.targets, predicted, labels, limit=PAIRS)
    body = []
    for pair in table.to_dict("records"):
        words = "".join(f'<td class="text">{html.escape(str(pair[key]))}</td>' for key in ("missed", "gave"))
        numbers = f"<td>{pair['total']}</td><td>{100 * pair['share_of_misses']:.0f} %</td>"
        columns = labels.index(pair["missed"]), labels.index(pair["gave"])
        places = confusion.pair_documents(predictions.targets, predicted, *columns)
        ids = ", ".join(str(predictions.ids[place]) for place in places[:IDS])
        more = f" and {len(places) - IDS:,} more" if len(places) > IDS else ""
        body.append(f'<tr>{words}{numbers}<td class="text">{html.escape(ids)}{more}</td></tr>')
    heads = ["missed", "given or kept", "documents", "of its misses", "their ids"]
    return name + _table(heads, body, words=("missed", "given or kept", "their ids"))
