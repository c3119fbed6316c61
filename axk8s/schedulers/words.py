"""What a role gives its program: entrypoint, arguments and variables, which must be texts that can be given. Pure."""

from __future__ import annotations

from torchx.specs import MISSING, Role

from axk8s.errors import ComponentError


def check(role: Role, *, where: str) -> None:
    """See that a program can be given what the role says; TorchX itself checks nothing.

    Args:
        role: as its component made it.
        where: which role it is, for messages.

    Raises:
        ComponentError: there is no entrypoint, or something is no text, or holds what no program can be given.
    """
    if not isinstance(role.entrypoint, str) or role.entrypoint in ("", MISSING):
        raise ComponentError(f"{where} has no entrypoint")
    texts: list[tuple[str, object]] = [("the entrypoint", role.entrypoint)]
    texts += [(f"argument {number}", value) for number, value in enumerate(role.args, start=1)]
    texts += [(f"variable {name}", value) for name, value in role.env.items()]
    for what, value in texts:
        if not isinstance(value, str):
            raise ComponentError(
                f"{where}: {what} is {value!r} ({type(value).__name__}), and TorchX takes strings only",
                hint="write str(...) around it in the component",
            )
        if "\0" in value:
            raise ComponentError(f"{where}: {what} holds a NUL character, which no program can be given")
    for name in role.env:
        if not name or "=" in name or "\0" in name:
            raise ComponentError(f"{where}: {name!r} cannot be the name of an environment variable")
