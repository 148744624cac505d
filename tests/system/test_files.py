import json
import math
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.system.errors import UserError
from core.system.files import WHOLE, Broken, atomic_path, parse_json, read_json, write_json
from core.system.locks import is_locked, try_lock


def test_a_reader_during_writes_never_sees_a_torn_file(tmp_path):
    path = tmp_path / "status.json"
    write_json(path, {"n": 0, "filler": []})
    done = threading.Event()

    def write():
        for n in range(400):
            write_json(path, {"n": n, "filler": ["x" * 50] * (n % 97)})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(json.loads(path.read_text())["n"])
    writer.join()
    assert json.loads(path.read_text())["n"] == 399
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_stays_behind_when_writing_fails(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"x": float("nan")})

    def fail(temporary):
        temporary.mkdir()
        temporary.joinpath("half").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "folder") as temporary:
        fail(temporary)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"), [("{", "line 1, column 2"), (None, "missing"), (b"\xff", "cannot be read")]
)
def test_a_damaged_json_file_is_named(tmp_path, content, said):
    path = tmp_path / "run" / "status.json"
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=said) as caught:
        read_json(path)
    assert "status.json" in str(caught.value)


def test_a_lock_lives_exactly_as_long_as_the_process_that_inherited_it(tmp_path):
    import os

    path = tmp_path / "alive.lock"
    assert not is_locked(path)
    descriptor = try_lock(path)
    assert try_lock(path) is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(descriptor,))
    os.close(descriptor)
    assert is_locked(path), "the child holds it"
    child.kill()
    child.wait()
    child.stdin.close()
    assert not is_locked(path)


def test_who_looks_at_a_lock_keeps_nobody_from_taking_it(tmp_path):
    path = tmp_path / "alive.lock"
    path.touch()
    done = threading.Event()

    def look():
        while not done.is_set():
            is_locked(path)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    taken = []
    for _ in range(200):
        taken.append(try_lock(path))
        assert is_locked(path) == (taken[-1] is not None)
        assert try_lock(path) is None
        if taken[-1] is not None:
            os.close(taken[-1])
    done.set()
    for looker in lookers:
        looker.join()
    assert None not in taken


@pytest.mark.parametrize("value", ["\udcff", "a\ud800b", {"a": ["x", {"b": "\udfff"}]}, {"\udcff": 1}])
def test_what_would_not_be_read_is_not_written(value, tmp_path):
    file = tmp_path / "x.json"
    write_json(file, "as before")
    with pytest.raises(UserError, match=r"^x\.json cannot be written .*half a letter"):
        write_json(file, {"kept": value})
    assert read_json(file) == "as before"
    write_json(file, {"kept": "\U0001f600 \\ud800"})
    assert read_json(file) == {"kept": "\U0001f600 \\ud800"}


DIGITS = st.text("0123456789", min_size=1, max_size=30)
POWERS = st.builds("{}{}".format, st.sampled_from(["e", "E", "e+", "E-"]), st.integers(0, 400) | DIGITS)
NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    DIGITS.map(lambda digits: digits.lstrip("0") or "0"),
    st.just("") | DIGITS.map(".{}".format),
    st.just("") | POWERS,
)
SPACE = st.sampled_from(["", " ", "\n", "\t", "\r"])


def is_in_bounds(value):
    return math.isfinite(value) if isinstance(value, float) else -WHOLE < value < WHOLE


@given(
    NUMBERS,
    st.sampled_from(["{}", "[1,{},2]", '{{"a":{}}}', '{{"x":"12e456 e999","y":[{},".1234567890123456789012"]}}']),
    SPACE,
    SPACE,
)
def test_numbers_out_of_bounds_are_refused_wherever_they_stand_and_no_others(number, around, before, behind):
    text = around.format(before + number + behind)
    if is_in_bounds(json.loads(number)):
        assert parse_json(text) == json.loads(text)
    else:
        with pytest.raises(Broken, match="input should be"):
            parse_json(text)


@pytest.mark.parametrize("text", ["1e999", "0e999", "a 1e999, 2", "1" * 40, "NaN", "d1e308", "\\u0065"])
def test_a_text_that_looks_like_a_number_is_a_text(text):
    assert parse_json(json.dumps({"checksum": text})) == {"checksum": text}


def test_a_number_of_thousands_of_letters_is_out_of_bounds():
    with pytest.raises(Broken, match="finite number"):
        parse_json("[1" + "0" * 5000 + ".5]")
    assert parse_json("[0." + "0" * 5000 + "5]") == [0.0]
