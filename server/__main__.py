"""The command line: `interference serve`, `providers`, `check` and `verify-provider`."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from server import __version__, drivers, listing
from server.config import Secrets, Settings, check_keys, load_catalog, load_settings
from server.errors import SettingsError
from server.routes import Catalog
from server.verify import command as verify

_OVERRIDES = ("host", "port", "grpc_port", "workers", "providers", "public_url", "grace", "open")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Wrong settings are one line on stderr and exit code 2."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        return _COMMANDS[arguments.command](arguments)
    except SettingsError as error:
        sys.stderr.write(f"interference: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `interference providers | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _load(arguments: argparse.Namespace) -> tuple[Settings, Catalog, Secrets]:
    overrides = {name: getattr(arguments, name, None) for name in _OVERRIDES}
    settings = load_settings(arguments.config, overrides)
    return settings, load_catalog(settings, drivers.KINDS), Secrets(os.environ)


def _serve(arguments: argparse.Namespace) -> int:
    from server.supervisor import Supervisor  # starts nothing that the other commands need

    async def run() -> int:
        return await Supervisor(lambda: _load(arguments)).run()

    return asyncio.run(run())


def _providers(arguments: argparse.Namespace) -> int:
    settings, catalog, secrets = _load(arguments)
    return listing.show(settings, catalog, secrets, watch=arguments.watch)


def _check(arguments: argparse.Namespace) -> int:
    settings, catalog, secrets = _load(arguments)
    check_keys(settings, catalog.providers, secrets)
    rows = catalog.providers
    keyed = sum(1 for row in rows if not row.key_env or row.key_optional or secrets.key(row.key_env))
    sys.stdout.write(
        f"The settings are valid: {len(rows)} providers, {keyed} of them with the key they need "
        f"or without need of one, routes: {len(catalog.routes)}, workers: {settings.worker_count}.\n"
    )
    return 0


_COMMANDS = {"serve": _serve, "providers": _providers, "check": _check, verify.NAME: verify.run}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="interference", description="One typed door to every model provider."
    )
    parser.add_argument("--version", action="version", version=f"interference {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="serve REST and gRPC until Ctrl-C",
        description="Serves REST and gRPC on one port until SIGTERM or Ctrl-C. Options override the "
        "settings file. Keys come from the environment: OPENAI_API_KEY=... or OPENAI_API_KEY_FILE=path, "
        "and so on; INTERFERENCE_API_KEY is what callers must show, where it is set.",
    )
    _settings_options(serve)
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=int, help="REST and gRPC port (default 1337; 0: a free one)")
    serve.add_argument(
        "--grpc-port",
        type=int,
        help="port of the first worker, the others take the next (default 50051; 0: free ones)",
    )
    serve.add_argument("--workers", type=int, help="worker processes (default: one a core)")
    serve.add_argument("--public-url", help="how callers reach the server, for image addresses")
    serve.add_argument("--grace", type=float, help="seconds for running calls at the end (default 30)")
    serve.add_argument(
        "--open",
        action="store_true",
        default=None,
        help="listen on other than loopback addresses without asking callers for a key",
    )
    providers = commands.add_parser(
        "providers",
        help="list the providers: enabled or why not, health and models",
        description="Lists all providers: enabled or what to do about it, their health and their models, "
        "as the running server has it. Where none runs, the enabled ones are asked for their models.",
    )
    _settings_options(providers)
    providers.add_argument("--host", help="address of the server (default 127.0.0.1)")
    providers.add_argument("--port", type=int, help="port of the server (default 1337)")
    providers.add_argument(
        "--watch", action="store_true", help="then print each change of health, until Ctrl-C"
    )
    check = commands.add_parser(
        "check",
        help="say whether the settings are valid",
        description="Says whether the settings, the catalog and the keys are valid; exit code 2 if not.",
    )
    _settings_options(check)
    verify.add(commands)
    return parser


def _settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="settings (default: interference.yaml here, if it is there)"
    )
    parser.add_argument("--providers", metavar="FILE", help="catalog file of your own rows")


if __name__ == "__main__":
    sys.exit(main())
