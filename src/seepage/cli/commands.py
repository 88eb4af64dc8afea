"""The commands by name; each is imported when it is called, so that `--help` stays quick."""

from importlib import import_module

import click

from ..core.names import nearest

COMMANDS = {
    "audit": ("audit:audit", "Train a job, attack it, judge it."),
    "attack": ("attack:attack", "Run one attack alone and write pictures."),
    "list": (
        "catalogue:list_",
        "List attacks, defenses, protocols, observers, data, models, plans.",
    ),
    "show": ("catalogue:show", "Show the card of one of them, or protocols side by side."),
    "report": ("reports:report", "Write reports of a finished run."),
    "replay": ("replay:replay", "Run one finding of a finished run again."),
    "compare": ("reports:compare", "Lay finished runs side by side, or over their epsilon."),
    "init": ("init:init", "Write a commented plan to start from."),
    "epsilon": ("epsilon:epsilon", "Print the epsilon that a mechanism really has."),
    "ledger": ("ledger:ledger", "Show what each client has spent of its privacy budget."),
    "doctor": ("doctor:doctor", "Say what is installed, missing, and how to get it."),
}


class Commands(click.Group):
    """A group that imports its commands late."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; an unknown name is an error with the nearest one."""
        if cmd_name not in COMMANDS:
            raise click.UsageError(
                f"no command is called {cmd_name!r}{nearest(cmd_name, COMMANDS)}"
            )
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(f".{module}", __package__), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the names with their short help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
