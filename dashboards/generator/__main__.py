"""Writes every board beside this package, or says with ``--check`` which ones are out of date."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.generator.board import Board, built
from dashboards.generator.boards import BOARDS

FOLDER: Final = Path(__file__).resolve().parents[1]


def text_of(board: Board) -> str:
    """The board's file."""
    return JSONEncoder(sort_keys=True, indent=2).encode(built(board)) + "\n"


def file_of(board: Board) -> Path:
    """Where it is committed."""
    return FOLDER / f"{board.uid}.json"


def main(arguments: list[str]) -> int:
    """Write them; with ``--check`` nothing is written, and 1 returned where one differs."""
    code = 0
    for board in BOARDS:
        path, text = file_of(board), text_of(board)
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{path.name} is out of date: python -m dashboards.generator\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
