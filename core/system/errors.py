"""Errors whose message is a sentence for the user, and what ends a run early."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile


class UserError(Exception):
    """An error that the user can correct: what was wrong, where, and what to do. The CLI prints it and exits 2."""


class Question(UserError):
    """Two readings are possible: the sentence names them and the option that chooses one.

    Attributes:
        about: what is to be decided, a word or two.
        choices: the readings, the likelier first.
        option: the option that answers, such as `--label-names`.
        names: what is to be decided about, where each of several names has an answer of its own.
    """

    def __init__(
        self, sentence: str, *, about: str, choices: Sequence[str], option: str, names: Sequence[str] = ()
    ) -> None:
        self.about, self.choices, self.option, self.names = about, tuple(choices), option, tuple(names)
        super().__init__(sentence)

    @property
    def what(self) -> str:
        """What is unclear, without the options of the command line that answer."""
        first, *others = re.split(r"(?<=[.?]) (?=[A-Z])", str(self))
        return " ".join([first, *takewhile(lambda sentence: not re.search(r"(^|[\s`])--[a-z]", sentence), others)])


class Diverged(UserError):
    """The loss of training is no longer a number, or far above where it began.

    Attributes:
        epoch: in which it happened, from 1.
        step: of that epoch, from 1.
    """

    def __init__(self, what: str, *, epoch: int, step: int) -> None:
        self.epoch, self.step = epoch, step
        super().__init__(
            f"{what} in epoch {epoch}, step {step}. "
            "Usual causes: too high a train.learning_rate or a loss.scale that is too large."
        )


def choose(kind: str, name: str, names: Iterable[str]) -> str:
    """Returns `name` if it is one of `names`; raises `UserError` with the nearest one and the whole list otherwise."""
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise UserError(f"There is no {kind} named '{name}'.{hint} Choose one of: {', '.join(names)}.")


class Stopped(Exception):
    """A stop of this run was requested."""


class PeerLost(Exception):
    """Another process that trains this run has ended, or cannot be reached: the run itself may go on."""


class Gone(Exception):
    """The folder of this run was deleted while it was worked on."""
