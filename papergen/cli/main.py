"""The `papergen` command: a lazy Click group that turns every fault into one message and an exit code.

Only click is imported here and in the command modules; whatever computes is imported inside the commands.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any, NoReturn

import click

from papergen import __version__
from papergen.core.errors import PapergenError, did_you_mean

COMMANDS = {
    "new": "papergen.cli.new:new",
    "new-exp": "papergen.cli.new_exp:new_exp",
    "run-exp": "papergen.cli.run_exp:run_exp",
    "build-pdf": "papergen.cli.build_pdf:build_pdf",
    "check": "papergen.cli.check:check",
    "cite": "papergen.cli.cite:cite",
    "config": "papergen.cli.config:config",
    "status": "papergen.cli.status:status",
    "cancel": "papergen.cli.cancel:cancel",
    "watch": "papergen.cli.watch:watch",
    "export": "papergen.cli.export:export",
    "diff": "papergen.cli.diff:diff",
    "trace": "papergen.cli.trace:trace",
    "compare": "papergen.cli.compare:compare",
    "rerun": "papergen.cli.rerun:rerun",
    "results": "papergen.cli.results:results",
    "templates": "papergen.cli.templates:templates",
    "template": "papergen.cli.templates:template",
    "doctor": "papergen.cli.doctor:doctor",
}
"""Command -> where its function lies, in the order in which a paper comes about."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), function)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Click's own resolution, with the nearest name when there is no such command."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise PapergenError(f"papergen {args[0]}: there is no such command. {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="papergen %(version)s")
@click.option("--debug", is_flag=True, help="Show the Python traceback of an error")
def cli(debug: bool) -> None:
    """Turn experiments into a paper whose every number comes from a run that can be named

    \b
    papergen new my-paper      scaffold a paper project
    cd my-paper
    papergen run-exp           run its experiments
    papergen build-pdf         build build/my-paper.pdf
    """


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 a trial or a check failed, 2 input, 3 environment, 130/143 signals."""
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments or bool(os.environ.get("PAPERGEN_DEBUG"))
    signal.signal(signal.SIGTERM, _terminated)
    code = 0
    try:
        outcome: Any = cli.main(args=arguments, prog_name="papergen", standalone_mode=False)
        code = outcome if isinstance(outcome, int) else 0
    except PapergenError as error:
        if debug:
            raise
        _say(f"Error: {error}")
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (KeyboardInterrupt, click.Abort):
        _say("Stopped. Every finished trial is kept; the same command goes on from here.")
        code = 130
    except Terminated:
        _say("Terminated. Every finished trial is kept; the same command goes on from here.")
        code = 143
    except BrokenPipeError:
        # The reader of our output (head, less) is gone: nothing to say and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:
        if debug:
            raise
        _say(f"Error: {error.filename or 'the system'}: {error.strerror or error}")
        code = 3
    sys.exit(code)


class Terminated(BaseException):
    """SIGTERM arrived; unwinds like Ctrl-C so that children are ended and files stay whole."""


def _terminated(*_: object) -> NoReturn:
    raise Terminated


def _say(text: str) -> None:
    click.echo(text, err=True)
