"""Loss weights: what each loss does to the labels and documents of a data set, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import jobs, store
from core.config import SETTINGS, DataConfig, UserError
from core.data import Corpus
from core.labels import Borders, default_borders
from pages import LABELS_OFFERED, corpus_of, header, link, pick_data, pick_label, plain

if TYPE_CHECKING:
    from core.gradients import Choice, Company

SHOWN_FIRST = ("bce", "cb", "db")
STEPS = {"scale": 0.5, "focal_alpha": 0.05, "cb_beta": 0.01, "alpha": 0.05, "beta": 1.0, "kappa": 0.01}
"""By how much a click changes a constant; 0.25 for the others."""
VIEWS = ("Weight by label", "Shift and asymmetry", "Loss by logit", "One document", "Where the gradient goes")
ANSWERS = {"yes": True, "no": False}
SIDES = {"positive": "is there", "negative": "is not there"}
UNTRAINED = {"prior": "untrained, log-odds of each label", "zero": "untrained, all logits 0"}
BY_HAND = "by hand"
QUANTITIES = {"push": "push on the logit", "weight": "weight", "value": "loss"}
SLIDERS = 6
LEAST, MOST = -12.0, 8.0
"""Ends of the sliders of logits."""
FOUND = 50
BY_CONTENT: dict[Any, Any] = {Corpus: lambda corpus: corpus.fingerprint}


FIRST = DataConfig()


@dataclass(frozen=True)
class View:
    """What all sections look at: the data, and the losses that are compared."""

    corpus: Corpus
    config: DataConfig = FIRST
    choices: tuple[Choice, ...] = ()

    @property
    def labels(self) -> int:
        """K, the labels with a train document."""
        return int((self.corpus.counts > 0).sum())

    @property
    def counts(self) -> Any:
        """Their train documents, (K,)."""
        return self.corpus.counts[: self.labels]

    @property
    def documents(self) -> int:
        """N."""
        return len(self.corpus.parts["train"])

    @property
    def borders(self) -> Borders:
        """Of head, medium and tail."""
        return default_borders(len(self.corpus.labels))


def show() -> None:
    header("Loss weights", "What each loss does to your labels, before you train: which it lifts, which it lets fade.")
    config = pick_data()
    corpus = corpus_of(config)
    with st.spinner("Loading PyTorch"):
        from core.figures import losses as figures  # noqa: F401 - loads torch, once in a server's life
    compare(config, corpus)


@st.fragment
def compare(config: DataConfig, corpus: Corpus) -> None:
    """Everything that hangs on the losses: a control moved here leaves the rest of the page alone."""
    try:
        view = View(corpus, config)
        if not view.labels:
            raise UserError("No label has a train document: there is nothing to weigh. Choose another split or set.")
        names, setting = pick_losses()
        if not names:
            raise UserError("Choose at least one loss to see what it does.")
        view = View(corpus, config, tuple(cards(view, names, setting)))
        warn(view)
        if view.choices:
            sections(view)
    except UserError as error:
        st.error(plain(str(error)))


def pick_losses() -> tuple[tuple[str, ...], Any]:
    """Draws the choice of losses and of whose constants they start from."""
    from core.losses import LOSSES, OTHER_LOSSES

    offered = (*LOSSES, *OTHER_LOSSES)
    chosen = st.pills(
        "Losses to compare",
        offered,
        selection_mode="multi",
        default=SHOWN_FIRST,
        key="losses",
        wrap=True,
        bind="query-params",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        setting = st.segmented_control(
            "Constants start from",
            SETTINGS,
            default="reuters",
            required=True,
            key="setting",
            bind="query-params",
            help="reuters and pubmed: the paper's scale and mu for these sets. plain: scale 1, and mu from the data.",
        )
        st.toggle(
            "Beside a changed loss, show its preset",
            True,
            key="presets",
            bind="query-params",
            help="As a dotted line, and as a bar of its own.",
        )
    return tuple(name for name in offered if name in chosen), setting


# The losses: controls, formula, what they mean, how to get them.


def cards(view: View, names: Sequence[str], setting: Any) -> list[Choice]:
    """Draws a card for each loss and returns what is to be compared; one that makes no sense is said and left out."""
    from core.gradients import Choice

    choices: list[Choice] = []
    problems = []
    with st.container(border=True):
        for name, tab in zip(names, st.tabs(names, key="loss", bind="query-params"), strict=True):
            with tab:
                try:
                    choice = card(view, name, setting)
                except UserError as error:
                    problems.append(str(error))
                    st.caption("Put the constant right, or reset all, to see this loss.")
                    continue
            choices.append(choice)
            if choice.changes and st.session_state["presets"]:
                choices.append(Choice(f"{name} (preset)", name, setting))
    for problem in problems:
        st.error(plain(problem))
    return choices


def card(view: View, name: str, setting: Any) -> Choice:
    """One loss: its controls, its formula with their numbers, and the calls that make it."""
    from core.figures import losses as figures
    from core.gradients import Choice

    defaults = Choice(name, name, setting).constants(view.counts, view.documents)
    left, right = st.columns([6, 5], gap="large")
    about, actions = right.container(), st.container(horizontal=True, vertical_alignment="center")
    with left:
        chosen = controls(view, name, setting, defaults, actions)
    choice = Choice(name, name, setting, tuple((key, value) for key, value in chosen.items() if value != defaults[key]))
    with about:
        st.markdown(f"**{figures.title_of(name)}** · {figures.READINGS[name]}")
        values = choice.constants(view.counts, view.documents)
        st.latex(figures.formula(name, values, view.documents))
        st.caption(figures.origin(name))
    with actions:
        calls(view, choice)
    return choice


def controls(
    view: View, name: str, setting: Any, defaults: dict[str, float], actions: DeltaGenerator
) -> dict[str, float]:
    """Draws a control for every constant of a loss, and among the `actions` a reset for all; returns their values.

    Raises:
        UserError: the address holds a value out of range.
    """
    from core.figures import losses as figures
    from core.gradients import Choice

    keys = {constant: control_key(view, name, setting, constant) for constant in defaults}
    values: dict[str, float] = {}
    asked: dict[str, float] = {}
    for constant, key in keys.items():
        with suppress(ValueError):
            asked[constant] = float(st.query_params.get(key, ""))
    places = iter([place for _ in range(-(-len(keys) // 3)) for place in st.columns(3)])
    for constant, default in defaults.items():
        symbol, word, meaning = figures.CONSTANTS[constant]
        label = f"${symbol}$ {word}"
        about = f"{meaning} Preset: {default:g}. In code: `{constant}`"
        with next(places):
            if constant == "reweight_negatives":
                about = f"{meaning} Preset: yes. In code: `{constant}`"
                values[constant] = ANSWERS[
                    st.selectbox(label, list(ANSWERS), key=keys[constant], bind="query-params", help=about)
                ]
            elif constant == "mu":
                values[constant] = st.slider(
                    label, 0.0, 1.0, default, 0.005, "%.3f", key=keys[constant], bind="query-params", help=about
                )
            else:
                step = STEPS.get(constant, 0.25)
                typed = st.number_input(
                    label,
                    value=float(default),
                    step=step,
                    format="%g",
                    key=keys[constant],
                    bind="query-params",
                    help=about,
                )
                values[constant] = default if typed is None else round(typed, 12)
    with actions:
        st.button(
            "Reset",
            key=f"reset-{name}",
            on_click=put,
            args=({keys[one]: "yes" if default is True else default for one, default in defaults.items()},),
            disabled=values == defaults,
            help="All constants of this loss as in its preset.",
        )
        if "mu" in values:
            rule = auto_mu(view.corpus)
            st.button(
                f"mu by the rule: {rule:.3f}",
                key=f"auto-{name}",
                on_click=put,
                args=({keys["mu"]: rule},),
                help="The authors' rule: halfway between the mean and the median of r in the train documents.",
            )
    wrong = tuple((key, value) for key, value in asked.items() if key == "mu" and not 0 <= value <= 1)
    Choice(name, name, setting, wrong or tuple(values.items())).constants(view.counts, view.documents)
    return values


def control_key(view: View, name: str, setting: str, constant: str) -> str:
    """The key of a control, in the address as well; one for each setting where that decides the preset's value."""
    if constant not in ("scale", "mu") or setting == "reuters":
        return f"{name}.{constant}"
    return f"{name}.{constant}.{setting}" + (f".{view.corpus.name}" if setting == "plain" else "")


def put(values: dict[str, Any]) -> None:
    """Moves controls."""
    st.session_state.update(values)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=BY_CONTENT)
def auto_mu(corpus: Corpus) -> float:
    from core.gradients import rule_for_mu

    return rule_for_mu(corpus.targets_of("train"), corpus.counts)


def calls(view: View, choice: Choice) -> None:
    """Python and the command line that make exactly this loss, and the way to the launcher's form."""
    from core.figures import losses as figures

    size = synthetic_changes(view.config)
    changes = figures.changes_of(choice)
    trained = figures.can_be_trained(choice.name)
    if trained:
        query = {"data": view.config.name, "split": view.config.split, "losses": choice.name}
        query |= {f"synthetic_{key}": str(value) for key, value in size.items()}
        query |= {f"set.{key}": {"true": "yes", "false": "no"}.get(value, value) for key, value in changes.items()}
        with st.container(width="content"):
            link("launcher", f"Train with {choice.name}", query)  # fills a form; nothing starts
    with st.popover("Python and command line"):
        st.code(figures.python_call(choice, view.config), language="python")
        if not trained:
            st.caption("Runs of this dashboard have the losses of the paper; this one is for your own code.")
            return
        run = jobs.make_config(
            data=view.config.name,
            split=view.config.split,
            model="tfidf",
            loss=choice.name,
            seed=0,
            changes=[
                *(f"data.synthetic.{key}={value}" for key, value in size.items()),
                *(f"{key}={value}" for key, value in changes.items()),
            ],
        )
        st.code(jobs.command_line(run), language="bash", wrap_lines=True)


def synthetic_changes(config: DataConfig) -> dict[str, Any]:
    """What differs from the usual size of the synthetic set."""
    return config.synthetic.model_dump(exclude_defaults=True) if config.name == "synthetic" else {}


# What to know before training.


def warn(view: View) -> None:
    """Says what can go wrong with the chosen losses on this data, or that nothing was found."""
    from core.gradients import rate_caution

    said, starts = [], {}
    if missing := len(view.corpus.labels) - view.labels:
        names = ", ".join(view.corpus.labels[view.labels : view.labels + 5]) + (", ..." if missing > 5 else "")
        labels = "label has" if missing == 1 else "labels have"
        said.append(f"{missing:,} {labels} no train document ({names}): training leaves them out, nothing is drawn.")
    for choice in view.choices:
        if choice.title == choice.name:
            said += [f"{choice.title}: {sentence}" for sentence in cautions(view.corpus, choice)]
            starts[choice.title] = start(view.corpus, choice)
    if rate := rate_caution(starts):
        said.append(rate)
    if said:
        st.warning("\n".join(f"- {plain(sentence)}" for sentence in said))
    else:
        st.caption("Nothing to warn about: every label has a train document, weights and first gradients are moderate.")


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=BY_CONTENT)
def cautions(corpus: Corpus, choice: Choice) -> list[str]:
    from core import gradients

    view = View(corpus)
    return gradients.cautions(choice, view.counts, view.documents, company(corpus), view.borders)


def start(corpus: Corpus, choice: Choice) -> float:
    """The size of a loss's first gradient in units of cross-entropy's."""
    from core import gradients

    return gradients.start_ratio(mass(corpus, choice, "prior"), mass(corpus, gradients.Choice("bce", "bce"), "prior"))


# Sections.


def sections(view: View) -> None:
    """The sections as tabs: only the open one is drawn."""
    drawn = (weights, shifts, curves, one_document, where)
    for tab, draw in zip(st.tabs(VIEWS, key="view", bind="query-params"), drawn, strict=True):
        if tab.open:
            with tab:
                draw(view)


@st.cache_resource(max_entries=8, show_spinner="Counting which labels come together", hash_funcs=BY_CONTENT)
def company(corpus: Corpus) -> Company:
    from core.gradients import measure_company

    view = View(corpus)
    return measure_company(corpus.targets_of("train"), view.counts, view.borders)


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=BY_CONTENT)
def weight_rows(corpus: Corpus, choice: Choice, side: str) -> tuple[Any, Any]:
    from core import gradients

    view = View(corpus)
    known = company(corpus)
    return (
        gradients.weight_frame([choice], view.counts, view.documents, known, corpus.labels, side),
        gradients.group_weights([choice], view.counts, view.documents, known, view.borders, side),
    )


def weights(view: View) -> None:
    """Weight by label rank, and what a tail label weighs in words."""
    from core import gradients
    from core.figures import losses as figures

    side = st.segmented_control(
        "Weight where the label",
        list(SIDES),
        format_func=SIDES.__getitem__,
        default="positive",
        required=True,
        key="side",
        bind="query-params",
    )
    frames, means = zip(*(weight_rows(view.corpus, choice, side) for choice in view.choices), strict=True)
    frame, table = gradients.stack(frames), gradients.stack(means)
    bands = figures.group_bands(view.counts, view.borders)
    if not len(frame):
        st.info("None of these losses has a weight for each label: they compare all labels of a document or a batch.")
        return
    st.altair_chart(
        figures.weight_by_rank(frame, view.choices, bands, labels=view.labels, side=side),
        alt="Weight of each label by its rank, for every loss",
    )
    st.caption(
        "What the log-loss of a label counts, before it is modulated. Rebalanced weights depend on the other labels "
        "of the document: the line is their mean over documents, the band holds nine in ten."
        + unlike(view, set(table["loss"]))
    )
    with_words = figures.group_table(table, side)
    column = st.column_config
    st.dataframe(
        with_words,
        hide_index=True,
        height="content",
        column_config={
            "loss": column.TextColumn(width="small"),
            "in words": column.TextColumn(width="large"),
            **{group: column.NumberColumn(format="%.4g", width="small") for group in ("head", "medium", "tail")},
        },
        alt="Mean weight of head, medium and tail labels under every loss",
    )


def unlike(view: View, drawn: Any) -> str:
    """Says which losses are not drawn because they have no value of their own for each label."""
    lacking = [choice.title for choice in view.choices if choice.title not in drawn]
    return f" Not drawn, as they compare all labels at once: {', '.join(lacking)}." if lacking else ""


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=BY_CONTENT)
def shift_rows(corpus: Corpus, choice: Choice, column: int) -> tuple[Any, Any]:
    from core import gradients

    view = View(corpus)
    return (
        gradients.shift_frame([choice], view.counts, view.documents),
        gradients.tolerance_frame([choice], view.counts, view.documents, column),
    )


def shifts(view: View) -> None:
    """The shift by rank, and what tolerance leaves of a negative's push."""
    from core import gradients
    from core.figures import losses as figures

    column = view.labels - 1
    pairs = [shift_rows(view.corpus, choice, column) for choice in view.choices]
    shift, tolerance = gradients.stack([pair[0] for pair in pairs]), gradients.stack([pair[1] for pair in pairs])
    if not len(shift):
        st.info("None of these losses shifts logits or is tolerant of negatives. ntr-fl, db-0fl, cb-ntr and db are.")
        return
    left, right = st.columns(2, gap="large")
    bands = figures.group_bands(view.counts, view.borders)
    with left:
        st.markdown("**How far the bar is raised**")
        st.altair_chart(
            figures.shift_by_rank(shift, view.choices, bands, labels=view.labels),
            alt="Shift of the logit of each label by its rank",
        )
        st.caption(
            "In training a label counts as found from this logit on, not from 0: the rarer, the higher. "
            "Scores are made from the raw logit, so that nothing is shifted later."
        )
    with right:
        st.markdown("**What tolerance leaves of a negative's push**")
        st.altair_chart(
            figures.tolerance(tolerance, view.choices), alt="Push of a negative by its logit, against cross-entropy"
        )
        st.caption(
            plain(f"For the rarest label, {view.corpus.labels[column]}. ")
            + "Left of 0 the model is right already: below the dashed line it is pushed less than by cross-entropy."
        )
    for sentence in figures.shift_in_words(shift, tolerance):
        st.markdown(f"- {sentence}")


def curves(view: View) -> None:
    """Loss and gradient of a head, a medium and a tail label by their logits."""
    from core import gradients
    from core.figures import losses as figures

    beside = st.segmented_control(
        "The label that is there stands",
        ["beside", "alone"],
        format_func={"beside": "beside the most frequent label", "alone": "alone in its document"}.__getitem__,
        default="beside",
        required=True,
        key="company",
        bind="query-params",
        help="Rebalanced losses weigh a label by its company. Where it is not there, its document has the most "
        "frequent label.",
    )
    groups = [
        (group, part)
        for group, part in gradients.group_slices(view.counts, view.borders).items()
        if part.stop > part.start
    ]
    drawn = [choice for choice in view.choices if gradients.by_element(choice.name)]
    if not drawn:
        st.info("None of these losses has a curve for one label: they compare all labels of a document or a batch.")
        return
    st.altair_chart(figures.legend(drawn), alt="Colours of the losses")
    for place, (group, part) in zip(st.columns(3), groups, strict=False):
        with place:
            names = view.corpus.labels[part]
            default = {"head": names[0], "medium": names[len(names) // 2], "tail": names[-1]}[group]
            label = pick_label(f"{group.capitalize()} label", f"{group}_label", names, default)
            column = view.corpus.labels.index(label if label is not None else default)
            frame = gradients.stack([curve(view.corpus, choice, column, beside == "beside") for choice in drawn])
            st.caption(f"{view.counts[column]:,} of {view.documents:,} train documents carry it.")
            for quantity in ("value", "gradient"):
                st.altair_chart(
                    figures.by_logit(frame, view.choices, quantity=quantity),
                    key=f"{group}-{quantity}",
                    alt=f"{quantity} of a {group} label by its logit",
                )
    st.caption(
        "Full lines: the label is there, and is pushed up. Dashed: it is not, and is pushed down. "
        "Losses and pushes are on logarithmic axes; a push is the size of the gradient by the logit."
        + unlike(view, {choice.title for choice in drawn})
    )


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=BY_CONTENT)
def curve(corpus: Corpus, choice: Choice, column: int, beside: bool) -> Any:
    from core import gradients

    view = View(corpus)
    return gradients.curve_frame([choice], view.counts, view.documents, column, beside=beside)


# Logits.


def pick_logits(view: View, *more: str) -> str:
    """Draws the choice of logits: of an untrained network, of a finished run on this data, or one of `more`."""
    from core.figures.training import run_name

    runs = {
        run.id: f"run: {run_name(run)} ({run.id[-6:]})"
        for run in finished(str(store.runs_dir()), view.config, view.corpus)
    }
    words = {**UNTRAINED, **{one: one for one in more}, **runs}
    chosen: str = st.selectbox(
        "Logits",
        list(words),
        format_func=words.__getitem__,
        key="logits",
        bind="query-params",
        help="What the network says. Runs keep the scores of test documents.",
    )
    return chosen


@st.cache_data(ttl=5, show_spinner=False, hash_funcs=BY_CONTENT)
def finished(folder: str, config: DataConfig, corpus: Corpus) -> list[store.Run]:  # noqa: ARG001 - a part of the key
    """Finished runs with scores on this data, as it is now."""
    return [
        run
        for run in store.list_runs()
        if run.state == "finished"
        and not run.problem
        and run.config is not None
        and run.config.data == config
        and run.config.model.name != "svm"
        and store.run_id(run.config, corpus.fingerprint) == run.id
    ]


@st.cache_resource(max_entries=2, show_spinner="Reading the run's scores")
def predictions(run_id: str, folder: str) -> store.Predictions:  # noqa: ARG001 - a part of the key
    return store.read_predictions(store.get_run(run_id))


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=BY_CONTENT)
def sample(corpus: Corpus, logits: str) -> tuple[Any, Any]:
    """Targets and logits of a sample: of train documents, or of a run's test documents."""
    from core import gradients

    view = View(corpus)
    if logits in UNTRAINED:
        rows = gradients.sample_rows(view.documents, view.labels)
        targets = corpus.targets_of("train")[rows][:, : view.labels]
        return targets, gradients.untrained_logits(logits, view.counts, view.documents)
    known = predictions(logits, str(store.runs_dir()))
    rows = gradients.sample_rows(len(known.rows), view.labels)
    return known.targets[rows][:, : view.labels], gradients.logits_of(known, rows, view.labels)


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=BY_CONTENT)
def mass(corpus: Corpus, choice: Choice, logits: str) -> Any:
    from core import gradients

    view = View(corpus)
    targets, known = sample(corpus, logits)
    groups = gradients.group_slices(view.counts, view.borders)
    return gradients.gradient_mass(choice, view.counts, view.documents, targets, known, groups)


def where(view: View) -> None:
    """Which labels the gradient goes to, over a sample of the data."""
    from core import gradients
    from core.figures import losses as figures

    left, _ = st.columns([2, 3])
    with left:
        logits = pick_logits(view)
    frame = gradients.stack([mass(view.corpus, choice, logits) for choice in view.choices])
    st.altair_chart(
        figures.gradient_shares(frame, view.choices),
        alt="Share of the gradient that goes to head, medium and tail labels that are there and not there",
    )
    targets, _ = sample(view.corpus, logits)
    part = "train" if logits in UNTRAINED else "test"
    st.caption(
        f"Sum of the absolute gradients by the logits over {targets.shape[0]:,} {part} documents, drawn at random with "
        "a fixed seed. Strong colours: the label is there; pale: it is not. At the right: the whole gradient, in units "
        f"of {view.choices[0].title}."
    )
    for sentence in figures.mass_in_words(frame):
        st.markdown(f"- {sentence}")
    if logits not in UNTRAINED and view.labels > store.DENSE_LABELS:
        st.caption(
            f"Of so many labels a run keeps the {store.TOP_K} best scores of a document: the others count as 0, and "
            "what goes to labels that are not there is a lower bound."
        )


# One document.


def one_document(view: View) -> None:
    """A document, its labels, and what each label gets under each loss."""
    from core import gradients
    from core.figures import losses as figures

    left, right = st.columns([3, 2], gap="large")
    with right:
        logits = pick_logits(view, BY_HAND)
    with left:
        found = pick_document(view, logits)
    if found is None:
        return
    row, columns = found
    with right:
        if logits == BY_HAND:
            known = sliders(view, columns)
        elif logits in UNTRAINED:
            known = gradients.untrained_logits(logits, view.counts, view.documents)
        else:
            known = run_logits(view, logits, row)
    frame = gradients.stack([effect(view, choice, columns, known) for choice in view.choices])
    shown = figures.document_labels(frame)
    groups = gradients.group_slices(view.counts, view.borders)
    st.altair_chart(
        figures.gradient_shares(figures.document_mass(frame, groups), view.choices),
        alt="Share of this document's gradient by groups of labels",
    )
    st.caption(
        "Strong colours: labels that the document has; pale: labels that it does not have. At the right: the whole "
        f"gradient, in units of {view.choices[0].title}."
    )
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.altair_chart(
            figures.document_pushes(frame, view.choices, view.corpus.labels, shown),
            alt="Share of the gradient that each label gets under every loss",
        )
        others = view.labels - len(shown)
        st.caption(
            "✓ marks the document's own labels. To the right a logit is pushed up, to the left down; the axis widens "
            "small shares." + (f" {others:,} other labels get less each." if others else "")
        )
    with right:
        quantity = st.segmented_control(
            "In numbers",
            list(QUANTITIES),
            format_func=QUANTITIES.__getitem__,
            default="push",
            required=True,
            key="quantity",
            bind="query-params",
        )
        numbers = st.column_config.NumberColumn
        st.dataframe(
            figures.document_table(frame, view.corpus.labels, shown, quantity=quantity),
            hide_index=True,
            height="content",
            placeholder="–",
            column_config={
                "there": st.column_config.CheckboxColumn(width="small"),
                "logit": numbers(format="%.2f", width="small"),
                **{choice.title: numbers(format="%.3g") for choice in view.choices},
            },
            alt="What each label of the document gets under every loss",
        )


def effect(view: View, choice: Choice, columns: Any, logits: Any) -> Any:
    """What one loss gives every label of a document."""
    from core import gradients

    return gradients.document_frame(choice, view.counts, view.documents, columns, logits)


def pick_document(view: View, logits: str) -> tuple[int | None, list[int]] | None:
    """Draws the choice of a document and its text; returns its row, None for a pasted one, and its labels' columns."""
    corpus = view.corpus
    from_run = logits not in (*UNTRAINED, BY_HAND)
    source = "the data set"
    if not from_run:
        source = st.segmented_control(
            "Document from", ["the data set", "pasted text"], default="the data set", required=True, key="source",
            bind="query-params",
        )  # fmt: skip
    if source == "pasted text":
        return pasted(view)
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    parts = ["test"] if from_run else [part for part, rows in corpus.parts.items() if len(rows)]
    with right:
        part = st.selectbox("Part", parts, key=f"part-{'run' if from_run else 'all'}", disabled=from_run)
    with left:
        label = pick_label("With the label", "label", corpus.labels, None)
    words = middle.text_input("With the words", key="words", bind="query-params", placeholder="any words")
    column = None if label is None else corpus.labels.index(label)
    rows, more = search(corpus, part, column, words)
    asked = st.session_state.get("document", st.query_params.get("document"))
    if not rows:
        st.info(plain(f"No {part} document has these words and this label. Leave one of them out."))
        return None
    names = {str(corpus.ids[row]): row for row in rows}
    if asked not in names:
        st.session_state["document"] = next(iter(names))
    chosen = st.selectbox(
        f"Document, of the first {FOUND} found" if more else f"Document, of {len(rows)} found",
        list(names),
        format_func=lambda name: f"{name}  ·  {' '.join(corpus.titles[names[name]].split()) or '(no title)'}",
        key="document",
        bind="query-params",
    )
    row = names[chosen]
    with st.container(border=True, height=150):
        st.text(corpus.titles[row])
        st.text(corpus.bodies[row] or "(The document has no body.)")
    columns = labels_of(view, row)
    st.caption(plain(f"Its labels: {', '.join(corpus.labels[one] for one in columns) or 'none'}."))
    return row, columns


def labels_of(view: View, row: int) -> list[int]:
    """The columns of a document's labels that have a train document."""
    targets = view.corpus.targets
    held = targets.indices[targets.indptr[row] : targets.indptr[row + 1]].tolist()
    return [column for column in held if column < view.labels]


@st.cache_data(max_entries=64, show_spinner="Searching the documents", hash_funcs=BY_CONTENT)
def search(corpus: Corpus, part: str, column: int | None, words: str) -> tuple[list[int], bool]:
    from core.figures.data import rows_with
    from core.gradients import find_documents

    rows = corpus.parts[part] if column is None else rows_with(corpus, part, [column])
    return find_documents(corpus.text, rows, words, FOUND)


def pasted(view: View) -> tuple[None, list[int]]:
    """Draws a field for a text and the choice of its labels."""
    text = st.text_area("Text", key="pasted", height=120, placeholder="Paste a document")
    offered = list(view.corpus.labels[: view.labels])
    if len(offered) > LABELS_OFFERED:
        typed = st.text_input("Its labels, separated by commas", key="pasted_names")
        names = [name.strip() for name in typed.split(",") if name.strip()]
        if unknown := [name for name in names if name not in offered]:
            raise UserError(f"There is no label '{unknown[0]}' with a train document. Look names up on the data page.")
    else:
        names = st.multiselect("Its labels", offered, key="pasted_labels")
    words = set(text.lower().split())
    if hints := [name for name in offered if name.lower() in words and name not in names][:8]:
        st.caption(plain(f"Label names in the text: {', '.join(hints)}."))
    return None, sorted(offered.index(name) for name in set(names))


def run_logits(view: View, run_id: str, row: int | None) -> Any:
    """A run's logits of one test document."""
    from core import gradients

    known = predictions(run_id, str(store.runs_dir()))
    return gradients.logits_of(known, known.rows == row, view.labels)[0]


def sliders(view: View, columns: Sequence[int]) -> Any:
    """Draws a slider for the logit of each label of the document, and one for all that it does not have."""
    from core import gradients

    start = gradients.untrained_logits("prior", view.counts, view.documents)
    moved = {}
    for column in columns[:SLIDERS]:
        name = view.corpus.labels[column]
        moved[column] = st.slider(
            plain(f"✓ {name}"), LEAST, MOST, max(LEAST, round(float(start[column]), 1)), 0.1, key=f"z-{name}"
        )
    if len(columns) > SLIDERS:
        st.caption(f"The other {len(columns) - SLIDERS} labels stay where an untrained network has them.")
    others = st.slider("all labels that it does not have", LEAST, MOST, -4.0, 0.1, key="z")
    return gradients.logits_by_hand(start, columns, moved, others)


if __name__ == "__main__":
    import app

    app.main("loss_weights")
