"""Runs as one page of HTML that needs nothing else: tables, figures, what was confused, where it comes from."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.io import to_html as figure_html

from core.analysis import export, tables, verdict
from core.analysis.compare import label_scores
from core.analysis.decisions import decide
from core.analysis.samples import RANKING, Comparison, Sampled
from core.analysis.tables import Row
from core.figures import GROUP_COLOURS
from core.figures.compare import smooth
from core.figures.looks import assign_looks
from core.labels.groups import Borders, group_sizes, rank_by_frequency
from core.metrics import confusion
from core.runs import results
from core.runs.predictions import read_predictions
from core.system.errors import UserError

PAIRS = 10
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem;
  color: #1c2430; background: #fff; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-size: 13px; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d9dee6; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; } .published { color: #76808f; } small { color: #76808f; }
figure { margin: 0 0 1.5rem; } code { font-size: 12px; overflow-wrap: anywhere; }
"""


def to_html(parts: Sequence[tuple[str, Comparison]]) -> str:
    """A page with the tables of each data set, figures and provenance; names are escaped, scripts are Plotly's alone.

    Args:
        parts: name of a data set and split, and its rows at one rule.
    """
    body = [piece for number, (name, compared) in enumerate(parts) for piece in _part(name, compared, first=not number)]
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tailscope</title><style>{STYLE}</style>'
    return f"{head}</head><body>{''.join(body)}</body></html>\n"


def _part(name: str, compared: Comparison, *, first: bool) -> list[str]:
    """One data set; the first one's first figure brings the script for all."""
    rows, sampled, rule = compared.rows, compared.sampled, compared.rule
    parts = [f"<h1>{html.escape(name or 'No runs')}</h1>"]
    parts += [f"<p>{html.escape(problem)}</p>" for problem in compared.problems]
    # What the rows say, in words.
    if len(rows) > 1 and len({row.fingerprint for row in rows}) == 1:
        documents = results.count_documents(results.read_results(rows[0].runs[0]), "test")
        questions = verdict.questions_at(rule)
        said = [
            f"<li><b>{questions[one.column]}.</b> {html.escape(verdict.in_words(one, documents=documents))}</li>"
            for one in verdict.find(rows, sampled, rule=rule)
        ]
        parts.append(f"<ul>{''.join(said)}</ul><p>{html.escape(verdict.words_of_single_seeds(rows))}</p>")
    # Tables.
    numbers: list[tables.Table] = [RANKING] if rule == RANKING else list(tables.GROUPS)
    for number in numbers:
        frame = tables.paper_table(rows, sampled, table=number, rule=rule)
        title = "Rankings" if number == RANKING else f"Table {number}"
        words = " ".join([tables.caption(number, rule), *tables.notes(frame)])
        parts += [f"<h2>{title}</h2><p>{html.escape(words)}</p>", _score_table(frame)]
    # Figures.
    figures = [figure for figure in (_groups(rows, sampled, rule), _by_rank(rows, rule)) if figure.data]
    for number_of, figure in enumerate(figures):
        figure.update_layout(template="plotly_white", height=420, margin={"l": 50, "r": 20, "t": 40, "b": 50})
        script = first and number_of == 0
        parts.append(f"<figure>{figure_html(figure, full_html=False, include_plotlyjs=script)}</figure>")
    # Parts of the loss, confused pairs, provenance.
    added = tables.ablation(rows, sampled, rule=rule)
    chosen = added[added["group"].isin(["total", "tail"]) & added["score"].isin(["macro", "ap"])]
    if not chosen.empty:
        measure = "average precision" if rule == RANKING else "macro-F1"
        parts += [f"<h2>What each part of DB adds to {measure} (points)</h2>", _difference_table(chosen)]
    if rule != RANKING:
        parts += ["<h2>Confused pairs</h2>", *(_pairs(row, rule) for row in rows)]
    lines = "".join(f"<li><code>{html.escape(line)}</code></li>" for line in tables.provenance(rows, rule=rule))
    return [*parts, f"<h2>Where the numbers come from</h2><ul>{lines}</ul>"]


def _table(head: Sequence[str], body: Sequence[str]) -> str:
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _score_table(frame: pd.DataFrame) -> str:
    columns, body = tables.SCORE_COLUMNS[tables.table_of(frame)], []
    for row in frame.to_dict("records"):
        cells = [f"<td>{html.escape(export.title(row))}</td>"]
        for column in columns:
            value, interval = export.cell(row, column)
            value = f"<b>{value}</b>" if export.is_bold(row, column) else value or "–"
            cells.append(f"<td>{value}{f' <small>{interval}</small>' if interval else ''}</td>")
        body.append(f'<tr class="{row["source"]}">{"".join(cells)}</tr>')
    return _table(["", *(" ".join(tables.heading(column)) for column in columns)], body)


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


def _groups(rows: Sequence[Row], sampled: Mapping[str, Sampled], rule: str) -> go.Figure:
    figure = go.Figure()
    columns = tables.columns_of(RANKING if rule == RANKING else 2)
    score, measure = ("ap", "Average precision") if rule == RANKING else ("macro", "Macro-F1")
    for group in ("head", "medium", "tail"):
        values = [100 * sampled[row.name].scores[columns[f"{group}_{score}"]] for row in rows]
        figure.add_bar(x=[row.name for row in rows], y=values, name=group, marker_color=GROUP_COLOURS[group])
    return figure.update_layout(title=f"{measure} by frequency group (%)", barmode="group")


def _by_rank(rows: Sequence[Row], rule: str) -> go.Figure:
    """F1, or average precision, along the tail of the rows that have the first one's labels."""
    figure, alike = go.Figure(), list[Row]()
    looks = assign_looks({row.name: row.runs[0] for row in rows})
    # Ranks can be laid over each other where the labels are the same.
    for row in rows:
        metrics = results.read_results(row.runs[0])
        if not alike or metrics["labels"] == results.read_results(alike[0].runs[0])["labels"]:
            alike.append(row)
    for row in alike:
        metrics = results.read_results(row.runs[0])
        try:
            scores = np.mean([label_scores(run, rule) for run in row.runs], axis=0)
        except UserError:
            continue  # its predictions are damaged: it keeps its row in the tables
        ranks = rank_by_frequency(np.asarray(metrics["counts"]))
        place, values = smooth(100 * scores[np.argsort(ranks)], width=max(len(ranks) / 18, 1.0))
        look = looks[row.name]
        dash = ",".join(f"{length}px" for length in look.dash) if look.dash[1] else "solid"
        figure.add_scatter(x=place, y=values, name=row.name, line={"color": look.colour, "dash": dash})
    # Borders of the groups.
    if alike:
        metrics = results.read_results(alike[0].runs[0])
        sizes = group_sizes(np.asarray(metrics["counts"]), Borders(**metrics["borders"]))
        for edge in np.cumsum(list(sizes.values()))[:-1]:
            figure.add_vline(x=float(edge) + 0.5, line_dash="dot", line_color="gray")
    figure.update_xaxes(title="rank of the label, the most frequent first").update_yaxes(range=[0, 100])
    measure = "Average precision" if rule == RANKING else "F1"
    return figure.update_layout(title=f"{measure} by label rank, smoothed (%); dotted: head | medium | tail")


def _pairs(row: Row, rule: str) -> str:
    run = row.runs[0]
    name = html.escape(f"{row.name}: {run.id}")
    try:
        targets, labels = read_predictions(run).targets, results.read_results(run)["labels"]
        predicted = decide(run, rule).predicted
    except UserError as error:
        return f"<h3>{name}</h3><p>{html.escape(str(error))}</p>"
    table = confusion.confused_pairs(targets, predicted, labels, limit=PAIRS)
    body = []
    for pair in table.to_dict("records"):
        words = "".join(f'<td class="text">{html.escape(str(pair[key]))}</td>' for key in ("missed", "gave"))
        numbers = f"<td>{pair['total']}</td><td>{100 * pair['share_of_misses']:.0f} %</td>"
        body.append(f"<tr>{words}{numbers}</tr>")
    return f"<h3>{name}</h3>" + _table(["missed", "given or kept", "documents", "of the label's misses"], body)
