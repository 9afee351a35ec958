"""`python -m turnout.embedded.initializer URI FOLDER`: download a model; the folder is whole, or not there.

Everything is written beside the folder and renamed at the end, so whoever is killed half-way leaves nothing that looks
like a model. Credentials come by environment, under the names that KServe's initializer uses.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from turnout.embedded.initializer import s3, web
from turnout.errors import InputError, TurnoutError

__all__ = ["download", "main"]


def main(argv: list[str] | None = None) -> int:
    """Download; the exit code. What went wrong is the last line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m turnout.embedded.initializer", description="Download a model.")
    parser.add_argument("uri", help="s3://bucket/prefix, http://host/file or https://host/file")
    parser.add_argument("folder", type=Path, help="the folder to be made")
    found = parser.parse_args(argv)
    try:
        download(found.uri, found.folder)
    except TurnoutError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def download(uri: str, folder: Path) -> None:
    """Make `folder` a copy of what the URI names.

    Raises:
        InputError: the scheme is none of ours, or the URI names no model.
        NotFound: nothing is there.
        Unavailable: the server does not answer.
        Failed: the server refuses, or what it sent is no archive.
    """
    aside = folder.with_name(f".{folder.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)  # of one that was killed
    aside.mkdir(parents=True)
    scheme = uri.partition("://")[0]
    if scheme == "s3":
        s3.download(uri, aside, os.environ)
    elif scheme in ("http", "https"):
        web.download(uri, aside, os.environ)
    else:
        raise InputError(f"{uri}: the initializer brings s3://, http:// and https://")
    aside.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
