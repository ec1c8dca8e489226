"""The display of progress: lines a few seconds apart, or a bar on a terminal."""

from __future__ import annotations

import io
import sys
from time import sleep

import pytest

from inferox.loading import progress_display
from inferox.loading.progress_display import showing


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_some_seconds_apart_and_the_end_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = 0.0
    monkeypatch.setattr(progress_display, "monotonic", lambda: now_s)
    with showing("opening") as show:
        for step in range(9):
            now_s = float(step)
            show(f"step {step}\x1b[2J", step / 8)
        now_s = 12.0
        show("and then", None)
    assert capsys.readouterr().err.splitlines() == [
        "inferox: 0 s, 0%: step 0\\x1b[2J",
        "inferox: 3 s, 37%: step 3\\x1b[2J",
        "inferox: 6 s, 75%: step 6\\x1b[2J",
        "inferox: 8 s, 100%: step 8\\x1b[2J",
        "inferox: 12 s: and then",
    ]


def test_the_end_is_told_once_however_often_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = 0.0
    monkeypatch.setattr(progress_display, "monotonic", lambda: now_s)
    with showing("opening", is_patient=True) as show:
        for now_s in (0.1, 0.2, 0.3, 0.4, 2.9, 3.5):
            show("all", 0.5 if now_s < 0.15 else 1.0)
    assert capsys.readouterr().err.splitlines() == ["inferox: 0 s, 100%: all", "inferox: 4 s, 100%: all"]


@pytest.mark.parametrize("is_patient", [False, True])
def test_a_long_step_is_told_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_patient: bool
) -> None:
    monkeypatch.setattr(progress_display, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(progress_display, "_SILENT_FOR_S", 0.05)
    told = ""
    with showing("opening", is_patient=is_patient) as show:
        while told.count("opening") < 2:
            sleep(0.01)
            told += capsys.readouterr().err
        show("a long step", 0.25)
        while told.count("25%: a long step") < 2:
            sleep(0.01)
            told += capsys.readouterr().err
        show("the end", 1.0)
        sleep(0.2)
    assert capsys.readouterr().err.splitlines()[-1].endswith("100%: the end")
    sleep(0.1)
    assert not capsys.readouterr().err


def test_what_is_done_soon_may_say_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    monkeypatch.setattr(progress_display, "monotonic", lambda: now_s)
    with showing("opening", is_patient=True) as show:
        for now_s in (0.0, 2.0, 4.0, 5.0):
            show(f"{now_s:g} items", None)
    assert capsys.readouterr().err.splitlines() == ["inferox: 4 s: 4 items"]


def test_a_terminal_has_a_bar_in_which_names_neither_control_it_nor_colour_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with showing("opening [bold]it") as show:
        show("half of [red]it\x1b[2J", 0.5)
    shown = terminal.getvalue()
    assert "50%" in shown
    assert "half of [red]it\\x1b[2J" in shown
    assert "\x1b[2J" not in shown
    assert "inferox: " not in shown


def test_where_standard_error_is_closed_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with showing("opening") as show:
        show("half", 0.5)
