"""The command `simulate`."""

from __future__ import annotations

import sys

import typer

from rollout.extras import missing
from simulate.commands.cli import register as register_commands
from simulate.commands.errors import CommandError
from simulate.lab.cli import app as lab_app
from simulate.lab.errors import LabError

app = typer.Typer(
    name="simulate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Rehearse a release before the night.",
)
app.add_typer(lab_app)
register_commands(app)


@app.callback()
def _root() -> None:
    """Keep `lab` a sub-command however many there are."""


def main() -> None:
    """Run the command line. Exits with 2 for bad input, 1 for a failure, 130 when interrupted."""
    try:
        app()
    except (LabError, CommandError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (sentence := missing(error)) is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
