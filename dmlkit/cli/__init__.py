"""The command line: all commands of `dmlkit`, and how they end.

report    `dmlkit report`
data      inspect, check, generate, download and import data sets; submissions
runs      train, evaluate, predict, combine, compare and list runs; options that several commands share

Each command imports the heavy libraries it needs, after names are checked. An error made for the user is one paragraph
and an exit code: 2 usage, 3 data; `--debug` shows the traceback instead. Ctrl-C ends every command with 130.
"""

from __future__ import annotations

import os
import sys

import click

from dmlkit.cli import data, report, runs
from dmlkit.errors import DmlkitError, UsageError, without_controls


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="dmlkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; may stand anywhere.")
def app(debug: bool) -> None:
    """Multimodal video classification in notebooks: from logistic regression to attention and ensembles."""
    # `main` reads --debug at any place; here it is only listed.


for command in (report.report, *runs.COMMANDS, *data.COMMANDS):
    app.add_command(command)
for command in (app, report.report, *runs.COMMANDS):
    command.params.append(runs.plugin_option)


def main() -> None:
    """Run the command line, and turn errors made for the user into one paragraph and an exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    for stream in (sys.stdout, sys.stderr):  # names from data and paths need not suit the terminal's encoding
        stream.reconfigure(errors="backslashreplace")
    try:
        # What a command returns is no exit code, and here None; --help and --version return one.
        sys.exit(app(arguments, prog_name="dmlkit", standalone_mode=False) or 0)
    except DmlkitError as error:
        if debug:
            raise
        # Messages quote data: no control characters, no second paragraph.
        click.echo(f"dmlkit: {without_controls(error)}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # of a path that cannot be, a full disk, missing rights
        if debug:
            raise
        place = f"{error.filename}: " * bool(error.filename)
        message = f"{place}{error.strerror or error}. Check the path, your rights and the room on the disk."
        click.echo(f"dmlkit: {without_controls(message)} `--debug` shows where it happened.", err=True)
        sys.exit(UsageError.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("dmlkit: interrupted.", err=True)
        sys.exit(130)
    finally:
        # `dmlkit runs | head -1` closes the pipe, at which Python would print an error on exit.
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
