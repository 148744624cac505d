"""The script for a machine with a GPU: what it is not given is one sentence, and a run that fails takes no other."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest

from core.system.errors import UserError
from core.system.places import ROOT
from tests.benchmarks import gpu


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "."), "required: --output"),
        (("train", ".", "--output", "out"), "does not hold encoder/model.safetensors.xz"),
        (("unpack", "nothing.tar.gz"), "is no archive"),
        (("unpack", "text"), "is no archive"),
    ],
)
def test_what_is_missing_is_one_sentence(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "text").write_text("no archive")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu", *words])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_is_left_out_and_the_others_stay(capsys: pytest.CaptureFixture) -> None:
    found = {"id": "a", "seconds": 2.0, "rate": 30.0, "micro": 90.0, "macro": 60.0}
    fine, failed = Future[dict](), Future[dict]()
    fine.set_result(found)
    failed.set_exception(UserError("The loss became NaN."))
    assert [one for one in map(gpu.result_of, (failed, fine)) if one] == [found]
    assert "a run failed and is left out: The loss became NaN." in capsys.readouterr().out


def test_it_starts_without_what_a_packed_folder_brings() -> None:
    """The wheels of a packed folder are there only once it is unpacked."""
    script = "import sys, tests.benchmarks.gpu, core.system.errors; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"
