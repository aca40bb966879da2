"""The command line: `python -m martlet collect|flows|report|plugins`."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Exit statuses, as `martlet` has them: 2 where something was lost on the way, or a capture is damaged.
DONE, LOST, USAGE = 0, 2, 64


def _collect(options: argparse.Namespace) -> int:
    from .collect import collect
    from .rotation import ParquetRotation

    latency = 1.0 if options.rotate is None else min(1.0, options.rotate / 2)
    began = time.monotonic()
    rows = 0
    collector = collect(
        options.url, names=options.names, addresses=options.addresses, latency=latency, heartbeat=latency,
        certificate=options.certificate, key=options.key, ca=options.ca)
    # The files have what came until then, whichever signal it is.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: collector.stop())
    with collector, ParquetRotation(options.parquet, rotate=options.rotate, rows=options.rows) as rotation:
        if collector.address[1]:
            print("martlet: listening at {}, port {}".format(*collector.address), file=sys.stderr, flush=True)
        for batch in collector:
            rows += batch.num_rows
            if batch.num_rows:
                rotation.write(batch)
            rotation.tick()
    seconds = time.monotonic() - began
    print(f"martlet: {rows} records in {seconds:.1f} s, {rows / max(seconds, 1e-9):.0f}/s, "
          f"{len(rotation.files)} files", file=sys.stderr)
    losses = collector.counters.losses()
    for name, value in losses.items():
        print(f"martlet: {name.replace('_', ' ')}: {value}", file=sys.stderr)
    return LOST if losses else DONE


@contextlib.contextmanager
def _complete(path: Path) -> Iterator[Path]:
    """A hidden file to write, which gets the name `path` when all is in it, and is gone otherwise."""
    hidden = path.with_name(f".{path.name}.part")
    try:
        yield hidden
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def _flows(options: argparse.Namespace) -> int:
    import martlet

    from ._parquet import writer

    flows, rows = martlet.flows(options.captures, options.plugins or None), 0
    with _complete(options.output) as hidden, writer(hidden, flows.schema) as file:
        for batch in flows:
            file.write_batch(batch)
            rows += batch.num_rows
    print(f"martlet: {rows} flows in {options.output}", file=sys.stderr)
    return LOST if flows.problems else DONE


def _report(options: argparse.Namespace) -> int:
    import martlet

    from .report import report

    flows = martlet.flows(options.captures, options.plugins or None)
    table = flows.to_arrow()
    title = ", ".join(Path(capture).name for capture in options.captures)
    with _complete(options.output) as hidden:
        hidden.write_text(report(table, title=title), encoding="utf-8")
    print(f"martlet: {table.num_rows} flows in {options.output}", file=sys.stderr)
    return LOST if flows.problems else DONE


def _plugins(options: argparse.Namespace) -> int:
    import dataclasses
    import json

    import martlet

    plugins = martlet.plugins().values()
    if options.json:
        print(json.dumps([dataclasses.asdict(plugin) for plugin in plugins], indent=2))
        return DONE
    for plugin in plugins:
        print(": ".join(filter(None, (plugin.name or "every record", plugin.summary))))
        for field in plugin.fields:
            print(f"  {field.name:34} {field.type:28} {field.description}".rstrip())
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m martlet", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("collect", help="write records of running probes (IPFIX) into Parquet files")
    one.add_argument("url", metavar="URL", help="tcp://HOST[:PORT], udp://…, tls://… to listen at, or a file of IPFIX")
    one.add_argument("--parquet", metavar="DIR", type=Path, required=True, help="the folder of the files")
    one.add_argument("--rotate", metavar="S", type=float, help="begin another file after S seconds (never)")
    one.add_argument("--rows", metavar="N", type=int, help="begin another file after N rows (never)")
    one.add_argument("--names", choices=("short", "full"), default="short", help="columns by short or full names (short)")
    one.add_argument("--addresses", choices=("text", "binary"), default="text", help="addresses as text or octets (text)")
    one.add_argument("--certificate", metavar="FILE", help="tls: the collector's certificate, PEM")
    one.add_argument("--key", metavar="FILE", help="tls: its key (in the certificate's file)")
    one.add_argument("--ca", metavar="FILE", help="tls: whom exporters' certificates must be from (they need none)")
    one.set_defaults(run=_collect)

    one = commands.add_parser("flows", help="write the flows of captures into a Parquet file")
    one.add_argument("captures", metavar="CAPTURE", nargs="+")
    one.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    one.add_argument("--plugins", default="", help="as martlet's --plugins: pstats,tls (none)")
    one.set_defaults(run=_flows)

    one = commands.add_parser("report", help="make a page (HTML) about captures")
    one.add_argument("captures", metavar="CAPTURE", nargs="+")
    one.add_argument("-o", "--output", metavar="FILE", type=Path, default=Path("report.html"), help="the page (report.html)")
    one.add_argument("--plugins", default="pstats,tls,dns,http,quic", help="(pstats,tls,dns,http,quic)")
    one.set_defaults(run=_report)

    one = commands.add_parser("plugins", help="list plugins with their fields and types")
    one.add_argument("--json", action="store_true", help="as JSON")
    one.set_defaults(run=_plugins)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:
        return DONE if end.code in (0, None) else USAGE
    warnings.showwarning = lambda message, *_: print(f"martlet: warning: {message}", file=sys.stderr)
    # So that what is half written goes away, as with SIGINT.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        result: int = options.run(options)
    except ValueError as error:
        print(f"martlet: {error}", file=sys.stderr)
        return USAGE
    except (OSError, RuntimeError, _errors()) as error:
        print(f"martlet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return result


def _errors() -> type[Exception]:
    """What the engine says in place of results."""
    import martlet

    return martlet.MartletError


if __name__ == "__main__":
    sys.exit(main())
