import json
import os
import subprocess
import sys
import threading

import pytest

from core.system.errors import UserError
from core.system.files import atomic_path, read_json, write_json
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
