"""Errors meant for the person at the command line."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: one sentence, and a hint. The command line prints both and no traceback."""

    def __init__(self, sentence: str, hint: str = "", code: int = 2):
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.code = code  # exit status
