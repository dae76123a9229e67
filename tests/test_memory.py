"""What you can rely on: where glibc can be asked to keep freed buffers, it is asked."""

import ctypes
import platform

import pytest

from minibert.training.settings import keep_large_buffers


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_glibc_takes_the_numbers():
    assert keep_large_buffers()


def test_it_is_asked_to_keep_buffers_of_up_to_32_megabytes_and_all_that_is_free(monkeypatch):
    asked = []

    class Library:
        @staticmethod
        def mallopt(option, value):
            asked.append((option, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library)
    assert keep_large_buffers()
    assert asked == [(-3, 32 * 1024 * 1024), (-1, 2**31 - 1)]


def no_library(_):
    raise OSError


@pytest.mark.parametrize("library", [lambda _: object(), no_library])
def test_where_the_c_library_is_another_one_nothing_happens(library, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert not keep_large_buffers()
