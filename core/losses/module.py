"""What all losses have in common as modules: settings that may change, and numbers by label that nothing can lose."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from .checks import check_shares, choose, find_positives, name_columns, to_float64, to_mask, to_number
from .presets import CONSTANTS
from .targets import Batch, Targets, narrow_pairs, poison, read_targets

Reduction = Literal["mean", "sum", "none", "mean_over_documents"]
Terms = Literal["element", "document", "label", "batch"]
REDUCTIONS: dict[Terms, tuple[Reduction, ...]] = {
    "element": ("mean", "sum", "none", "mean_over_documents"),
    "document": ("mean", "sum", "none", "mean_over_documents"),
    "label": ("mean", "sum", "none"),
    "batch": ("mean",),
}
STATE = "loss"
"""The key by which the state of a loss is known."""


class Columns(NamedTuple):
    """What a loss knows of the labels that it keeps, K of L, in one precision and on one device.

    Attributes:
        counts: n, (K,).
        label_weight: the weight by label, (K,), or 1, ().
        shift: what is taken off the logits, (K,).
        pos_weight: what positives are multiplied by, (K,), or None.
        kept: the columns that are kept, (K,) int64, or None for all.
    """

    counts: Tensor
    label_weight: Tensor
    shift: Tensor
    pos_weight: Tensor | None
    kept: Tensor | None


class PresetLoss(nn.Module):
    """A loss of the table: `LongTailLoss` for slots of the equation, `TermLoss` for the rest.

    Numbers by label are no buffers, which a model that is loaded, made on the meta device or emptied would lose. They
    are kept in float64 on the CPU, and each call takes them in the precision and on the device of its logits; what was
    made of them once is kept too. `.to(device)` and `.double()` say what to make first.

    Constants can be set at any time, `loss.kappa = 0.1`, within their ranges; what follows from them follows at once.
    `state_dict` holds which loss this is, with a digest of its counts, as bytes: loading it brings the constants back,
    and the state of another preset or of other counts is refused.
    """

    terms: Terms = "element"
    size: int
    documents: int
    preset: str
    reduction: Reduction
    soft_labels: bool
    label_smoothing: float
    ignore_index: float | None
    scale: float
    _constants: dict[str, float]
    _columns: Columns
    _exact: Columns
    _elsewhere: dict[tuple[torch.device, torch.dtype], Columns]
    FOLLOWS: Mapping[str, str] = {
        "counts": "the counts that it is built with",
        "documents": "the documents that it is built with",
        "size": "the counts that it is built with",
        "kept": "the counts and on_missing that it is built with",
        "preset": "the name that it is built by",
        "constants": "the attributes of their names, such as loss.scale",
    }
    """What cannot be set, and what it follows from."""

    def __init__(
        self,
        counts: Tensor,
        documents: int,
        constants: Mapping[str, float],
        *,
        preset: str = "",
        reduction: Reduction = "mean",
        kept: Tensor | None = None,
        soft_labels: bool = False,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        pos_weight: Any = None,
    ) -> None:
        """Makes the module; every argument but the first three is one of `build_loss`."""
        super().__init__()
        self.size, self.documents, self.preset = len(counts), documents, preset
        self._given = counts.detach().to("cpu", torch.float64)
        self._columns_kept = None if kept is None else kept.detach().to("cpu", torch.int64)
        self.reduction, self.soft_labels = reduction, bool(soft_labels)
        self.label_smoothing, self.ignore_index = 0.0, None
        self._pos_weight: Tensor | None = None
        self._constants = dict(constants)
        for name, value in {"label_smoothing": label_smoothing, "pos_weight": pos_weight}.items():
            self._set_option(name, value)
        self._set_option("ignore_index", ignore_index)
        self._set_option("soft_labels", soft_labels)
        self._settle()

    # Settings ----------------------------------------------------------------------------------------------------

    @property
    def constants(self) -> Mapping[str, float]:
        """The constants that it reads, by their names in `build_loss`; set them as attributes."""
        return MappingProxyType(self._constants)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_columns" not in self.__dict__:  # while it is made
            super().__setattr__(name, value)
        elif name in self.FOLLOWS:
            raise AttributeError(f"{name} of a loss is read-only: it follows from {self.FOLLOWS[name]}.")
        elif name in CONSTANTS:
            self._set_constants({name: value})
        elif name in ("reduction", "soft_labels", "label_smoothing", "ignore_index", "pos_weight"):
            self._set_option(name, value)
            self._settle()
        else:
            super().__setattr__(name, value)

    def _set_constants(self, changes: Mapping[str, Any]) -> None:
        """Checks and sets constants, and what follows from them."""
        self.__dict__["_constants"] = change_constants(self.preset or "a loss", self._constants, changes)
        self._settle()

    def _set_option(self, name: str, value: Any) -> None:
        """Checks and sets what is no constant of the formula."""
        title = f"'{self.preset}' has one term for each {self.terms}"
        if name == "reduction":
            choose("reduction", value, REDUCTIONS[self.terms])
        elif name == "label_smoothing":
            value = to_number(value)
            if not isinstance(value, float | int) or not 0 <= value < 1:
                raise ValueError(f"label_smoothing is {value!r}: it must be from 0 to below 1.")
            value = float(value)
            if value and self.terms == "batch":
                raise ValueError(f"{title}: it knows no label_smoothing.")
        elif name == "soft_labels":
            if value not in (True, False):
                raise ValueError(f"soft_labels is {value!r}: it must be True or False.")
            value = bool(value)
            if value and self.terms == "batch":
                raise ValueError(f"{title}: it knows no soft labels.")
        elif name == "ignore_index":
            value = None if value is None else to_number(value)
            if value is not None and (not isinstance(value, float | int) or 0 <= value <= 1 or value != value):
                raise ValueError(f"ignore_index is {value!r}: it must be a number that no target is, such as -100.")
        elif name == "pos_weight":
            name, value = "_pos_weight", self._read_weight(value)
        self.__dict__[name] = value

    def _read_weight(self, weight: Any) -> Tensor | None:
        """Weights of positives as float64 (L,)."""
        if weight is None:
            return None
        if self.terms != "element":
            raise ValueError(f"'{self.preset}' has one term for each {self.terms}: it knows no pos_weight.")
        number = to_number(weight)
        values = (
            torch.full((self.size,), number, dtype=torch.float64, device="cpu")
            if isinstance(number, float | int)
            else to_float64(weight)
        )
        if values.shape != (self.size,):
            raise ValueError(f"pos_weight is {tuple(values.shape)}: it must be a number, or one for each label.")
        wrong = ~(values > 0) | values.isinf()
        if wrong.any():
            found = f"pos_weight is {values[wrong][0].item():g} for {name_columns(wrong, None)}"
            raise ValueError(f"{found}: weights of positives are finite and above 0.")
        return values

    @property
    def pos_weight(self) -> Tensor | None:
        """What the positives of each label are multiplied by, on top of the preset: float64 (L,) or None."""
        return self._pos_weight

    # Numbers by label --------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Makes what follows from the constants: numbers of the equation, and of labels in full precision."""
        for name, value in self._constants.items():
            self.__dict__[name] = value
        made = self.__dict__.get("_columns")
        self.__dict__["_exact"] = self._make_columns()
        place = (torch.device("cpu"), torch.float32) if made is None else (made.counts.device, made.counts.dtype)
        self._place(*place)

    def _make_columns(self) -> Columns:
        """The numbers of the labels that are kept, in float64 on the CPU."""
        counts, kept, weight = self._given, self._columns_kept, self._pos_weight
        one = torch.ones((), dtype=torch.float64, device="cpu")
        if kept is not None:
            counts, weight = counts[kept], None if weight is None else weight[kept]
        return Columns(counts, one, torch.zeros_like(counts), weight, kept)

    def _place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Makes the numbers by label where they are wanted first."""
        with torch.inference_mode(False):
            columns = self._convert(device, dtype)
        self.__dict__.update(_columns=columns, _elsewhere={})

    def _convert(self, device: torch.device, dtype: torch.dtype) -> Columns:
        exact = self._exact
        return Columns(
            exact.counts.to(device, dtype),
            exact.label_weight.to(device, dtype),
            exact.shift.to(device, dtype),
            None if exact.pos_weight is None else exact.pos_weight.to(device, dtype),
            None if exact.kept is None else exact.kept.to(device),
        )

    def columns(self, device: torch.device, dtype: torch.dtype, *, keep: bool = False) -> Columns:
        """The numbers by label on a device, in the precision of logits of this dtype: float32 or more.

        Args:
            device: of the logits.
            dtype: of the logits; fewer bits than the module's are not taken.
            keep: the next call finds what this one makes. Not inside `torch.func`, whose tensors end with it.
        """
        made = self._columns
        wide = torch.promote_types(dtype, made.counts.dtype)
        if made.counts.device == device and made.counts.dtype == wide:
            return made
        if not keep:
            return self._convert(device, wide)
        found: Columns | None = self._elsewhere.get((device, wide))
        if found is None:
            with torch.inference_mode(False):
                found = self._convert(device, wide)
            if type(found.counts) is Tensor:  # not a tensor of a mode that is on, such as FakeTensorMode
                self._elsewhere[device, wide] = found
        return found

    @property
    def counts(self) -> Tensor:
        """Counts n of the labels that are kept, (K,), where the module is and in its precision."""
        return self._columns.counts

    @property
    def kept(self) -> Tensor | None:
        """The columns that are kept, (K,), or None for all."""
        return self._columns.kept

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PresetLoss:
        super()._apply(fn, recurse)
        here = self._columns.counts
        device = "cpu" if here.is_meta else here.device  # what is on meta has no numbers that could be moved
        probe = fn(torch.empty(0, dtype=here.dtype, device=device))
        self._place(probe.device, torch.promote_types(probe.dtype, torch.float32))
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_elsewhere": {}}

    # Targets -----------------------------------------------------------------------------------------------------

    def read(self, logits: Tensor, targets: Any) -> Batch:
        """Logits and targets of the labels that are kept, in the form that losses are computed from.

        Raises:
            ValueError: logits that are no tensor of real numbers; targets of an unknown kind, shapes that do not fit,
                a pair outside (B, L), a soft label outside 0 to 1.
        """
        if not isinstance(logits, Tensor) or logits.is_complex():
            kind = "complex numbers" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise ValueError(f"Logits are {kind}: pass a tensor of real numbers, (documents, {self.size}).")
        found: Targets = read_targets(targets, logits.shape, logits.device, self.size)
        kept, counted = self._columns.kept, None
        if kept is not None and kept.device != logits.device:
            kept = self.columns(logits.device, self._columns.counts.dtype).kept
        # Index pairs: all that is not named is a negative.
        if isinstance(found, tuple):
            rows, labels = narrow_pairs(found, len(logits), self.size, kept)
            logits = logits if kept is None else logits.index_select(-1, kept)
            return Batch(logits, rows, labels, False, None, kept)
        # What is ignored becomes a negative with a logit that no loss counts: minus infinity.
        if self.ignore_index is not None and found.dtype is not torch.bool:
            ignored = found == self.ignore_index
            found, counted = found.masked_fill(ignored, 0), ~ignored
            logits = logits.masked_fill(ignored, -torch.inf)
        # Shares are checked here, ones where their places are looked for; neither in compiled code.
        soft = self.soft_labels and found.dtype is not torch.bool
        silent = torch.compiler.is_compiling() or logits.is_meta
        if soft and not silent:
            check_shares(found)
        if silent and found.dtype is not torch.bool and (soft or kept is not None):
            logits = poison(logits, found, soft=soft)
        if kept is None:
            return Batch(logits, found, None, soft, counted, None)
        found = found if soft else find_positives(found)
        counted = None if counted is None else counted.index_select(-1, kept)
        return Batch(logits.index_select(-1, kept), found.index_select(-1, kept), None, soft, counted, kept)

    def find_positives(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (..., K), and bool (..., K) where a target is 1; NaN in compiled code where one is neither 0 nor 1."""
        logits, targets = batch.logits, batch.targets
        if batch.labels is not None:
            return logits, to_mask(targets, batch.labels, logits.shape)
        if targets.dtype is not torch.bool and (torch.compiler.is_compiling() or logits.is_meta):
            return poison(logits, targets), targets.bool()
        return logits, find_positives(targets)

    def shares(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (..., K) and soft labels, not smoothed; those of hard targets are 0 and 1."""
        return (batch.logits, batch.targets) if batch.soft else self.find_positives(batch)

    def smooth_shares(self, share: Tensor, counted: Tensor | None) -> Tensor:
        """Shares (..., K) drawn towards 1/2 by `label_smoothing`; 0 of what is ignored."""
        if self.label_smoothing:
            share = share * (1 - self.label_smoothing) + self.label_smoothing / 2
        return share if counted is None else share.masked_fill(~counted, 0)

    # State -------------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Preset, sizes, a digest of the counts, and every setting."""
        described = self._describe()
        parts = [f"{self.preset or 'no preset'}: {self.size} labels, {self.documents} documents"]
        if self._columns_kept is not None:
            parts[0] += f", {self.size - len(self._columns_kept)} of the labels left out"
        parts.append(f"counts {described['counts'][:8]}")
        parts += [f"{name}={value:g}" for name, value in self._constants.items()]
        parts.append(f"reduction={self.reduction}")
        parts += [f"{name}={described[name]}" for name in ("label_smoothing", "pos_weight") if described[name]]
        parts += [f"soft_labels={self.soft_labels}"] * self.soft_labels
        parts += [f"ignore_index={self.ignore_index}"] * (self.ignore_index is not None)
        return ", ".join(parts)

    def _describe(self) -> dict[str, Any]:
        """Which loss this is, in what JSON holds."""
        return {
            "preset": self.preset,
            "labels": self.size,
            "documents": int(self.documents),
            "counts": _digest(self._given),
            "constants": self._constants,
            "label_smoothing": self.label_smoothing,
            "pos_weight": None if self._pos_weight is None else _digest(self._pos_weight)[:8],
        }

    def get_extra_state(self) -> Tensor:
        """Which loss this is, as the bytes of JSON: a tensor, which safetensors and `weights_only` take as well."""
        words = json.dumps({STATE: self._describe()}, separators=(",", ":"))
        return torch.tensor(list(words.encode("ascii")), dtype=torch.uint8, device="cpu")

    def set_extra_state(self, state: Any) -> None:
        """Takes the constants of a state, if it is that of this preset and these counts.

        What is no state of a loss is passed over: loaders fill what a checkpoint lacks with memory as it happens to be.

        Raises:
            ValueError: the state of another preset, of other counts or weights of positives; bad constants.
        """
        found = _read_state(state)
        if found is None:
            return
        mine = self._describe()
        way = "build the loss as it was, or drop the key '_extra_state' from the state to keep this loss as it is."
        if found.get("preset") != mine["preset"]:
            raise ValueError(f"This state is of the loss '{found.get('preset')}', not '{self.preset}': {way}")
        for key in ("labels", "documents", "counts", "pos_weight"):
            if found.get(key) != mine[key]:
                theirs, ours = str(found.get(key))[:8], str(mine[key])[:8]
                raise ValueError(f"This state of '{self.preset}' is of other {key}, {theirs} and not {ours}: {way}")
        self._set_option("label_smoothing", found.get("label_smoothing", self.label_smoothing))
        self._set_constants(found.get("constants", {}))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As any module; a checkpoint from before there was a state is whole without it."""
        super()._load_from_state_dict(state, prefix, *rest)
        missing = rest[2]
        if (key := f"{prefix}_extra_state") in missing:
            missing.remove(key)


def change_constants(name: str, values: Mapping[str, float], changes: Mapping[str, Any]) -> dict[str, float]:
    """The constants of a loss with some of them changed; None keeps what is there.

    Raises:
        ValueError: a name that no loss or not this one has, a value out of range.
    """
    changed = dict(values)
    for key, given in changes.items():
        choose("constant", key, CONSTANTS)
        if given is None:
            continue
        if key not in values:
            raise ValueError(f"Loss '{name}' does not read {key}; it reads {', '.join(values)}.")
        value = to_number(given)
        if value == "auto" and CONSTANTS[key].kind == "number or auto":
            way = "pass positives=(rows, labels), or mu=auto_mu(rows, labels, counts)"
            raise ValueError(f"{key}='auto' needs the training targets: {way}.")
        allowed, switch = CONSTANTS[key].range, CONSTANTS[key].kind == "switch"
        if not isinstance(value, int | float) or not allowed.holds(value) or (switch and value not in (0, 1)):
            raise ValueError(f"{key} is {value!r}: it must be {allowed.words}.")
        changed[key] = value
    return changed


def _digest(numbers: Tensor) -> str:
    """Of float64 numbers, in hexadecimal."""
    return hashlib.sha256(array("d", numbers.tolist()).tobytes()).hexdigest()[:16]


def _read_state(state: Any) -> dict[str, Any] | None:
    """What `get_extra_state` wrote; None for anything else."""
    try:
        if isinstance(state, Tensor):
            if state.is_meta or state.ndim != 1:
                return None
            state = bytes(state.detach().cpu().double().round().clamp(0, 255).to(torch.uint8).tolist())
        found = json.loads(state)[STATE]
    except (TypeError, ValueError, KeyError, RuntimeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
