"""`seepage`: the group of commands, and what each way of ending exits with.

0 pass, 1 leak, 2 usage or plan error, 3 inconclusive, 4 seepage itself failed,
130 interrupted. Nothing torch-heavy is imported here or at the top of any command.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence

import click

from ..core.errors import SeepageWarning, UsageError
from .commands import Commands

PASS, LEAK, USAGE, INCONCLUSIVE, FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 130


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="seepage")
def seepage() -> None:
    """Attack your federated model before somebody else does.

    Exit codes: 0 pass, 1 leak, 2 usage or plan error, 3 inconclusive, 4 seepage itself
    failed, 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; a person's mistake is one line, without a traceback."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", SeepageWarning)
    warnings.showwarning = lambda message, *_: click.echo(f"seepage: warning: {message}", err=True)
    interrupts: list[int] = []

    def interrupt(number: int, _: object) -> None:
        """Note the interrupt, and stop as Ctrl-C does."""
        interrupts.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        code = seepage.main(args=arguments, prog_name="seepage", standalone_mode=False)
        return code if isinstance(code, int) else PASS
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return USAGE
    except click.ClickException as error:
        return _say(" ".join(error.format_message().split()), USAGE)
    except UsageError as error:
        return _say(str(error), USAGE)
    except (KeyboardInterrupt, click.Abort) as error:
        return _say(f"interrupted{f': {error}' if str(error) else ''}", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PASS
    except Exception:  # whatever is left is a bug of ours, or of an import that was cut short
        if interrupts:
            return _say("interrupted", INTERRUPTED)
        traceback.print_exc()
        return _say("this is a bug in seepage; please report it with the lines above", FAILED)


def _say(message: str, code: int) -> int:
    click.echo(f"seepage: {message}", err=True)
    return code
