"""Views that people added to the report, drawn again from their runs and data set: each as SVG or a table, in words."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np

from core.analysis import compare, decisions, errors, one_label, tables, trade_off, what_if
from core.analysis.run_names import name_runs
from core.analysis.samples import RANKING, Sampled, compare_rows, rule_in_words, sample
from core.analysis.views import View
from core.config.parse import parse
from core.config.schema import DataConfig
from core.data import sources
from core.figures.compare import change_chart, f1_by_rank
from core.figures.data import rank_frequency
from core.figures.errors import confusion_map_chart, f1_by_frequency, trade_off_chart
from core.figures.forest import Spec, forest_chart
from core.figures.looks import assign_looks
from core.figures.one_label import f1_by_run
from core.labels import measures
from core.labels.groups import Borders, default_borders
from core.metrics.thresholds import Limits
from core.runs import folder, results
from core.runs.folder import Run
from core.runs.predictions import Predictions, read_predictions
from core.system.errors import UserError
from core.system.files import Broken, parse_json

WIDE = 880
"""Pixels of a chart."""
PAIRS = 15
"""Confused pairs in a table."""
Chart = alt.LayerChart | alt.Chart | alt.HConcatChart
Drawn = tuple[str, str]
"""A view as HTML, and what it shows in words."""
Load = Callable[[Run, Borders, str], Sampled]


def draw(view: View, load: Load = sample) -> Drawn:
    """A view as HTML that needs no script, and its caption as text.

    Args:
        view: to draw.
        load: gives the scores of a run with resamples, which take longer than all else: they may be known already.

    Raises:
        UserError: a run or the data set is gone, its files are damaged, or there is nothing to show.
    """
    drawing = VIEWS.get((view.page, view.view))
    if drawing is None:
        raise UserError(f"There is no view '{view.view}' of the page {view.page}.")
    return drawing(view, load)


def to_svg(chart: Chart | Spec) -> str:
    """A chart as SVG on a transparent ground.

    Source: vl-convert, which runs Vega-Lite without a browser.
    """
    import vl_convert

    specification = dict(chart) if isinstance(chart, dict) else chart.to_dict()
    specification.pop("config", None)
    ground = {"background": "transparent", "font": "sans-serif"}
    return str(vl_convert.vegalite_to_svg(specification, vl_version="6.1", config=ground))


def _value(view: View, key: str, default: str = "") -> str:
    return next(iter(view.shown.get(key, ())), default)


def _borders(view: View, usual: Borders) -> Borders:
    try:
        return usual.moved(
            head=int(_value(view, "head", str(usual.head))), tail=int(_value(view, "tail", str(usual.tail)))
        )
    except ValueError:
        return usual


def _runs(view: View) -> tuple[list[Run], str]:
    """The runs of a view that are still there, and a sentence that names the others; empty if there are none."""
    found, gone = [], []
    for run_id in view.shown.get("runs", ()):
        try:
            run = folder.get_run(run_id)
            results.read_results(run)
            found.append(run)
        except UserError:
            gone.append(run_id)
    if not found:
        raise UserError(f"Its runs are gone or cannot be read: {', '.join(gone) or 'it names none'}.")
    return found, f" Gone since: {', '.join(gone)}." if gone else ""


# The page Compare.


def _compared(view: View, load: Load) -> tuple[list[tables.Row], Any, Borders, str]:
    runs, gone = _runs(view)
    rows = tables.fold(runs, seeds=_value(view, "fold", "True") == "True")
    borders = _borders(view, Borders(**results.read_results(runs[0])["borders"]))
    return rows, compare_rows(rows, borders, _value(view, "rule", decisions.AS_TRAINED), load=load), borders, gone


def _row_with(rows: Sequence[tables.Row], run_id: str) -> str:
    """The name of the row that a run is in; empty where there is none."""
    return next((row.name for row in rows if any(run.id == run_id for run in row.runs)), "")


def _forest(view: View, load: Load) -> Drawn:
    """One score of every row, or its difference from a row."""
    _, compared, _, gone = _compared(view, load)
    rows, rule = compared.rows, compared.rule
    table: tables.Table = RANKING if rule == RANKING else 2
    asked, column = _value(view, "baseline"), _value(view, "column")
    if column not in tables.SCORE_COLUMNS[table]:
        column = tables.SCORE_COLUMNS[table][0]
    baseline = _row_with(rows, asked)
    if asked and not baseline:
        raise UserError(f"The run from which it shows differences is gone: {asked}.")
    if baseline:
        frame = tables.difference_table(rows, compared.sampled, baseline, table=table, rule=rule)
    else:
        frame = tables.paper_table(rows, compared.sampled, table=table, rule=rule)
    shown, dots = compare.forest_rows(frame, compared.sampled, column)
    if not shown:
        raise UserError("No row has this score.")
    name = " ".join(tables.heading(column))
    title = f"{name} on test minus that of {baseline} (points)" if baseline else f"{name} on test (%)"
    looks = assign_looks({row.name: row.runs[0] for row in rows})
    chart = forest_chart(shown, dots, looks, title=title, difference=bool(baseline)) | {"width": WIDE - 260}
    caption = f"{title}, {rule_in_words(rule)}. Dot and bar: the mean of a row's seeds and its interval; rings: seeds."
    return to_svg(chart), caption + gone


def _label_scores(rows: Sequence[tables.Row], rule: str) -> dict[str, np.ndarray]:
    return {row.name: np.mean([compare.label_scores(run, rule) for run in row.runs], axis=0) for row in rows}


def _by_rank(view: View, _load: Load) -> Drawn:
    """F1 along the tail."""
    runs, gone = _runs(view)
    rows, rule = (
        tables.fold(runs, seeds=_value(view, "fold", "True") == "True"),
        _value(view, "rule", decisions.AS_TRAINED),
    )
    metrics = results.read_results(runs[0])
    rows = [row for row in rows if results.read_results(row.runs[0])["labels"] == metrics["labels"]]
    measure = "average precision" if rule == RANKING else "F1"
    looks = assign_looks({row.name: row.runs[0] for row in rows})
    borders = _borders(view, Borders(**metrics["borders"]))
    chart = f1_by_rank(_label_scores(rows, rule), looks, metrics["counts"], borders, measure=measure)
    words = f"Test {measure} of labels by their rank, smoothed over their neighbours; {rule_in_words(rule)}."
    return to_svg(chart.properties(width=WIDE)), words + gone


def _changes(view: View, load: Load) -> Drawn:
    """Which labels gained and lost between two rows."""
    rows, compared, borders, gone = _compared(view, load)
    names = [_row_with(rows, _value(view, key)) for key in ("first", "second")]
    if not all(names):
        raise UserError("One of the two runs that it compares is gone.")
    pair = [next(row for row in rows if row.name == name) for name in names]
    scores = _label_scores(pair, compared.rule)
    metrics = results.read_results(pair[0].runs[0])
    measure = "average precision" if compared.rule == RANKING else "F1"
    table = compare.label_changes(
        metrics["labels"],
        metrics["counts"],
        compare.support(pair[0].runs[0]),
        scores[names[0]],
        scores[names[1]],
        borders,
    )
    words = f"Labels whose test {measure} changed most from {names[0]} to {names[1]}; {rule_in_words(compared.rule)}."
    return to_svg(change_chart(table, measure=measure)), words + gone


# The page Errors.


def _read_part(view: View) -> tuple[Run, str, Predictions, Limits | None, Any, str]:
    """The run of a view, its part, the predictions there, the thresholds, what is given at them, and these in words."""
    run = _runs(view)[0][0]
    part = "validation" if _value(view, "part") == "validation" else "test"
    predictions, name = read_predictions(run, part), _value(view, "at", what_if.AS_TRAINED)
    if name == what_if.TOP_K:
        predicted = what_if.predict_named(run, name, predictions)
        return run, part, predictions, None, predicted, f"with {name}"
    try:
        moved = (one.partition(":") for one in view.shown.get("moved", ()))
        changes = tuple((int(key), float(value)) for key, _, value in moved)
        chosen = what_if.Chosen(name, float(_value(view, "limit", "nan")), changes)
    except ValueError:
        raise UserError("Its thresholds are no numbers.") from None
    words = {
        what_if.OWN: f"above {chosen.limit:.4g}",
        what_if.OWN_MARGIN: f"at the margin {chosen.limit:.4g} of quiet",
    }.get(name, f"at the thresholds '{name}'")
    if name not in (what_if.OWN, what_if.OWN_MARGIN, *what_if.name_readings(run)):
        raise UserError(f"Its thresholds '{name}' are no longer kept with the run.")
    labels = results.read_results(run)["labels"]
    if any(not 0 <= column < len(labels) for column, _ in changes):
        raise UserError("It moves the threshold of a label that the run does not have.")
    limits = what_if.find_limits(run, chosen)
    words += f", {len(changes)} moved by hand" if changes else ""
    return run, part, predictions, limits, what_if.predict(predictions, limits), words


def _label_points(view: View, _load: Load) -> Drawn:
    """F1 of every label against its frequency."""
    run, part, predictions, limits, predicted, words = _read_part(view)
    metrics = results.read_results(run)
    borders = _borders(view, Borders(**metrics["borders"]))
    table = errors.label_table(predictions, predicted, metrics["labels"], metrics["counts"], borders, limits)
    name = name_runs([run])[run.id]
    chart = f1_by_frequency({name: table}, borders, part=part).properties(width=WIDE)
    return to_svg(chart), f"F1 of every label on {part} against its number of training documents: {name}, {words}."


def _map(view: View, _load: Load) -> Drawn:
    """The confusion matrix of the labels that are confused most."""
    run, part, predictions, _, predicted, words = _read_part(view)
    labels, read, around = results.read_results(run)["labels"], _value(view, "read", "recall"), _value(view, "around")
    place = labels.index(around) if around in labels else None
    table = errors.confusion_map(predictions, predicted, labels, view=read, around=place)
    if table.empty:
        raise UserError("No label was confused with another.")
    chart = confusion_map_chart(table, view=read, found=around)
    which = (
        f"{around} and the labels that it is confused with most" if place is not None else "The labels confused most"
    )
    said = (
        f"{which}, side by side; grey cells are right. {part.capitalize()} part, {name_runs([run])[run.id]}, {words}."
    )
    return to_svg(chart), said


def _pairs(view: View, _load: Load) -> Drawn:
    """The most confused pairs as a table."""
    run, part, predictions, _, predicted, words = _read_part(view)
    labels = results.read_results(run)["labels"]
    table = errors.confused_pairs(predictions, predicted, labels, limit=20_000)
    rows, found = errors.rows_of_label(table, _value(view, "label"), ["missed", "gave"], limit=PAIRS)
    if not found:
        raise UserError("No label was missed in the company of another.")
    body = "".join(
        f'<tr><td class="text">{html.escape(str(row["missed"]))}</td><td class="text">{html.escape(str(row["gave"]))}'
        f"</td><td>{row['total']}</td><td>{row['swapped']}</td><td>{row['absorbed']}</td>"
        f"<td>{100 * row['share_of_misses']:.0f} %</td></tr>"
        for row in rows.to_dict("records")
    )
    heads = ("missed", "given or kept", "documents", "swapped", "absorbed", "of its misses")
    head = "".join(f"<th{' class=text' if place < 2 else ''}>{name}</th>" for place, name in enumerate(heads))
    table_html = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    many = f"The first {len(rows)} of {found:,} pairs. " if found > len(rows) else ""
    said = (
        f"{many}Pairs of labels of which the first was missed and the second wrongly given (swapped) or rightly there "
    )
    return table_html, f"{said}(absorbed): {part} part, {name_runs([run])[run.id]}, {words}."


def _trade_off(view: View, _load: Load) -> Drawn:
    """Tail macro-F1 against micro-F1 of a part, at every threshold and by every rule."""
    run, part, predictions, _, predicted, words = _read_part(view)
    metrics = results.read_results(run)
    counts, labels = metrics["counts"], metrics["labels"]
    borders = _borders(view, Borders(**metrics["borders"]))
    if "tail" not in trade_off.groups_of(counts, borders):
        raise UserError("No label is in the tail.")
    steps = what_if.threshold_steps(predictions, label=None, margins=what_if.has_margins(run)).tolist()
    curve = trade_off.curve_table(predictions, counts, borders, steps=steps, quiet=what_if.find_quiet(run))
    slow = what_if.SLOW if len(labels) > what_if.MANY_LABELS else ()
    found = trade_off.rule_points(run, {part: predictions}, borders, leave_out=slow)
    points = trade_off.merge_points(found, part)
    micro, tail = trade_off.f1_of_tail(predictions, predicted, counts, borders)
    ranges = trade_off.chart_ranges([points], [curve])
    chart = trade_off_chart(trade_off.name_values(curve), points, {"micro": micro, "tail": tail}, ranges)
    said = f"Tail macro-F1 against micro-F1 on {part}: {name_runs([run])[run.id]}; the ring is {words}: "
    return to_svg(chart.properties(width=WIDE)), f"{said}micro-F1 {micro:.2f}, tail {tail:.2f}."


# The pages on data and on one label.


def _tail(view: View, _load: Load) -> Drawn:
    """Frequency of every label against its rank."""
    try:
        config = parse(DataConfig, parse_json(_value(view, "data_set", "{}")), where="View")
    except Broken as error:
        raise UserError(f"Its data set cannot be read {error}.") from None
    corpus = sources.load(config)
    borders = _borders(view, default_borders(corpus.name, corpus.counts))
    frame = measures.rank_frequency(corpus.labels, corpus.counts, borders)
    words = (
        f"Train documents of each label of {view.data}, the most frequent first: head from {borders.head} documents, "
    )
    return to_svg(rank_frequency(frame, borders).properties(width=WIDE)), f"{words}tail up to {borders.tail}."


def _label(view: View, _load: Load) -> Drawn:
    """F1 of one label in every run."""
    runs, gone = _runs(view)
    label, names, outcomes = _value(view, "name"), name_runs(runs), {}
    for run in runs:
        labels = results.read_results(run)["labels"]
        if label in labels:
            targets, given = read_predictions(run).targets, decisions.decide(run).predicted
            counted = one_label.count_errors(targets, given)
            outcomes[names[run.id]] = one_label.outcomes_of(counted, targets.shape[0], labels.index(label))
    if not outcomes:
        raise UserError(f"No run has a label '{label[:60]}'.")
    chart = f1_by_run(one_label.run_table(outcomes), names.get(_value(view, "run"), "")).properties(width=WIDE - 200)
    words = f"F1 of {label} on test in {len(outcomes)} runs, at the thresholds of their training, with 95 % intervals."
    return to_svg(chart), words + gone


VIEWS: dict[tuple[str, str], Callable[[View, Load], Drawn]] = {
    ("compare", "Tables"): _forest,
    ("compare", "F1 by rank"): _by_rank,
    ("compare", "Label by label"): _changes,
    ("errors", "Labels"): _label_points,
    ("errors", "Map"): _map,
    ("errors", "Confused pairs"): _pairs,
    ("errors", "Trade-off"): _trade_off,
    ("explorer", "Long tail"): _tail,
    ("label", "Scores"): _label,
}
"""How each view is drawn, by its page and its name there."""
