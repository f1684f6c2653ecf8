"""An option that has one value is an error when it is given twice: click would take the last without a word.

A group of this kind looks at what its commands are given before they read it, so no command can forget to. Flags may
be repeated: nothing is lost by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click


class OnceGroup(click.Group):
    """A group whose options, and those of its commands, are given once unless they take several values."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it; UsageError where an option of the group itself is repeated."""
        refuse_repeated(ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it; UsageError where an option of the command is repeated."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            refuse_repeated(click.Context(command, ctx, name, **command.context_settings), rest)
        return name, command, rest


def refuse_repeated(ctx: click.Context, args: Sequence[str]) -> None:
    """UsageError (exit code 2) for the first option that has one value and is given more than once."""
    if ctx.resilient_parsing:  # the shell asks how a line could go on
        return
    _, _, order = ctx.command.make_parser(ctx).parse_args(list(args))
    given = Counter(one for one in order if isinstance(one, click.Option) and _has_one_value(one))
    for option, times in given.items():
        if times > 1:
            often = "twice" if times == 2 else f"{times} times"
            raise click.UsageError(f"{option.opts[0]} is given {often}, and only one can count. Give it once.", ctx)


def _has_one_value(option: click.Option) -> bool:
    return not (option.multiple or option.is_flag or option.count)
