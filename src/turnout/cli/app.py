"""The tree of commands, and the one place where errors become exit codes: 0 done, 1 failed, 2 wrong use."""

from __future__ import annotations

import sys

import click
import typer

from turnout.cli import engine, pipeline, serving
from turnout.cli.output import err
from turnout.errors import TurnoutError

__all__ = ["app", "main"]

app = typer.Typer(
    name="turnout",
    help="From raw data to a canary-tested KServe service: the same objects on a laptop and on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
engine.register(app)
pipeline.register(app)
serving.register(app)


def main() -> None:
    """Entry point of the command `turnout`."""
    try:
        app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)
    except TurnoutError as error:
        err.print(f"[bold red]error:[/] {_escaped(error)}", soft_wrap=True)
        sys.exit(error.exit_code)


def _escaped(error: Exception) -> str:
    """Square brackets in a message are text, not rich's markup."""
    return str(error).replace("[", r"\[")
