"""facecycle serve: the verbs over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.options import Aligner, Checkpoint, Device, Quiet, Verbose
from facecycle_cli.errors import CommandError, FacecycleError

if TYPE_CHECKING:
    from facecycle_cli.serve.dials import Dial, DialKind

_LESS = {"size": 1024}
"""Most of an option where requests share the memory: a face of 4096 pixels takes 2.6 GB."""

_MODULES = ("python_multipart", "starlette", "uvicorn")
_KINDS: dict[Any, DialKind] = {bool: "flag", int: "integer", float: "number", str: "text"}


def serve_command(
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            help="The address to listen on. Another than this machine's own (127.0.0.1) lets "
            "everybody in who can reach it.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8000,
    max_upload: Annotated[
        float, typer.Option(metavar="MB", min=0.001, help="Most megabytes of a request.")
    ] = 32,
    max_pixels: Annotated[
        float, typer.Option(metavar="MP", min=0.001, help="Most megapixels of a picture.")
    ] = 25,
    max_clip: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Most seconds of a clip.")
    ] = 30,
    timeout: Annotated[
        float,
        typer.Option(metavar="S", min=0.1, help="Give a request up after this many seconds."),
    ] = 120,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="Work on this many requests at once.")
    ] = 2,
    queue: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Let this many more wait. Further ones are told to come again (503).",
        ),
    ] = 16,
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    aligner: Aligner = "mesh",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Answer requests over HTTP with networks that stay open.

    facecycle serve                      http://127.0.0.1:8000

    facecycle serve --port 9000 -v       prints each request

    facecycle serve -c small-128 --max-clip 10

    The page at this address is for trying it by hand. POST a picture to /frontalize, /neutralize,
    /translate, /encode or /verify, with options as fields of the form. For one machine, not for the
    open internet: there is no encryption and no password. Extra: facecycle[serve].
    """
    console = Console(quiet=quiet, verbose=verbose)
    from facecycle_cli.system import require_extra

    try:
        for module in _MODULES:
            require_extra(module)
    except FacecycleError as error:
        raise CommandError(str(error)) from error

    from facecycle_cli.serve.app import LOOPBACK, ServerEvents, build_app
    from facecycle_cli.serve.server import open_socket, serve_app
    from facecycle_cli.serve.verbs import RequestLimits, Tools
    from facecycle_cli.serve.work import RequestPool

    class Events(ServerEvents):
        def answered(self, what: str, status: int, seconds: float) -> None:
            console.detail(f"{what}: {status}, {seconds:.3f} s")

        def failed(self, what: str, error: BaseException) -> None:
            console.failure(what, error)

    with open_socket(host, port) as opened:
        is_local = host.lower() in LOOPBACK
        if not is_local:
            console.note(
                f"--host {host}: whoever can reach this address may use it; there is no password "
                "and no encryption"
            )
        model, backend = open_model(checkpoint, device), open_backend(aligner)
        limits = RequestLimits(int(max_upload * (1 << 20)), max_pixels, max_clip, timeout)
        tools = Tools(model, backend, limits)
        with prefix_errors(f"--aligner {aligner}"):
            tools.warm_up()
        pool = RequestPool(workers, queue)
        app = build_app(
            tools,
            verb_dials(),
            pool,
            hosts=LOOPBACK if is_local else None,
            events=Events(),
        )
        bound = opened.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host

        def ready() -> None:
            console.result(f"http://{shown}:{bound}/", {})

        serve_app(app, opened, ready, pool.end)


def verb_dials() -> dict[str, list[Dial]]:
    """The options of each verb as fields, from the declarations of its command.

    An option is a field if the library's function knows it, too: files and folders of this machine,
    and what the whole server has in common, are none.
    """
    from importlib import import_module

    from facecycle_cli.serve.verbs import VERBS

    dials = {}
    for name, verb in VERBS.items():
        command = getattr(import_module(f"facecycle_cli.cli.{name}"), f"{name}_command")
        dials[name] = [dial for dial in _dials_of(command) if dial.name in verb.accepts]
    return dials


def _dials_of(command: Callable[..., None]) -> list[Dial]:
    """The options of a command whose values are a word or a number."""
    from inspect import signature
    from typing import get_type_hints

    from facecycle_cli.serve.dials import Dial

    hints = get_type_hints(command, include_extras=True)
    dials = []
    for name, parameter in signature(command).parameters.items():
        if get_origin(hints[name]) is not Annotated:
            continue
        kind, option = get_args(hints[name])[:2]
        if get_origin(kind) in (Union, UnionType):
            kinds = [each for each in get_args(kind) if each is not NoneType]
            kind = kinds[0] if len(kinds) == 1 else None
        default = parameter.default
        if get_origin(kind) is list:  # a field has one value
            (kind,), default = get_args(kind), None
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        shown_kind = "choice" if choices else _KINDS.get(kind)
        if shown_kind is None or not isinstance(option, typer.models.OptionInfo):
            continue
        dials.append(
            Dial(
                name=name,
                kind=shown_kind,
                default=default,
                choices=tuple(choices),
                low=option.min,
                high=_LESS.get(name, option.max),
                hint=(option.metavar or "").replace("|like:REF", ""),
                help="" if "REF" in (option.help or "") else option.help or "",
            )
        )
    return dials
