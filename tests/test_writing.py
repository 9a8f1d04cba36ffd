import os

import pytest

from dmlkit.files import atomic_write


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    path, synced, fsync = tmp_path / "index.html", [], os.fsync

    def watched(opened):
        fsync(opened)
        synced.append((os.fstat(opened).st_ino, path.read_text()))

    path.write_text("former")
    monkeypatch.setattr(os, "fsync", watched)
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    file = (path.stat().st_ino, "former")
    assert synced == ([file, (tmp_path.stat().st_ino, "whole")] if os.name == "posix" else [file])


def test_after_an_error_what_stood_there_is_whole_and_nothing_is_left(tmp_path):
    path = tmp_path / "index.html"
    path.write_text("former")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("ha")
        1 / 0  # noqa: B018
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]
