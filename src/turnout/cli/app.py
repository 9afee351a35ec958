"""The tree of commands, and the one place where errors become exit codes: 0 done, 1 failed, 2 wrong use."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from turnout.cli import data, engine, keeping, lineage, pipeline, rollouts, serving, simulate
from turnout.cli.output import err
from turnout.errors import TurnoutError

__all__ = ["app", "main"]

_INTERRUPTED = 130


class _Commands(TyperGroup):
    """Turns our errors into one line on stderr and the exit code of their class."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except TurnoutError as error:
            err.print(f"[bold red]error:[/] {_escaped(error)}", soft_wrap=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interruption:
            err.print("interrupted")
            raise typer.Exit(_INTERRUPTED) from interruption


app = typer.Typer(
    name="turnout",
    cls=_Commands,
    help="From raw data to a canary-tested KServe service: the same objects on a laptop and on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
engine.register(app)
pipeline.register(app)
data.register(app)
serving.register(app)
rollouts.register(app)
lineage.register(app)
keeping.register(app)
simulate.register(app)


def main() -> None:
    """Entry point of the command `turnout`."""
    app()


def _escaped(error: Exception) -> str:
    """Square brackets in a message are text, not rich's markup."""
    return str(error).replace("[", r"\[")
