"""sic verify: checksums with the standard library; --deep and --against also decode."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import click

from ..codec.bitstream.fields import MAX_PIXELS
from ..errors import CheckError, CorruptError, PartialError, SicError, UsageError
from ..metrics.names import METRICS
from ..pipeline.verify import Findings, Limit, against, checksums, symbols
from ..schemas.documents import failure, head
from ..storage.files import printable, read_input
from .common import DEVICE, global_options, json_option, open_sic, set_threads
from .inputs import each

MAX_PICTURE = 8 * MAX_PIXELS + (64 << 20)


class Devices(click.ParamType):  # type: ignore[type-arg]
    """`cpu` or `cpu,cuda` -> names, each once."""

    name = "devices"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = [part.strip() for part in str(value).split(",")]
        for name in names:
            if not DEVICE.fullmatch(name):
                self.fail(f"{name!r} is not auto, cpu, cuda or cuda:N", param, ctx)
        return tuple(dict.fromkeys(names))


class Threshold(click.ParamType):  # type: ignore[type-arg]
    """`psnr=30` -> (metric, value)."""

    name = "metric=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        metric, _, number = str(value).partition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if metric not in METRICS:
            self.fail(f"no metric is named {metric!r}; there are {', '.join(METRICS)}", param, ctx)
        if not math.isfinite(limit):
            self.fail(f"{value!r} is not such as psnr=30", param, ctx)
        return metric, limit


@click.command()
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.option("--deep", is_flag=True, help="Decode all levels and compare symbols with digests.")
@click.option(
    "-d",
    "--device",
    "devices",
    type=Devices(),
    help="Where to decode: auto, cpu, cuda or cuda:N; several, as in cpu,cuda, are compared with "
    "each other. Means --deep.",
)
@click.option(
    "--pixel-tolerance",
    type=click.IntRange(0, 255),
    default=1,
    show_default=True,
    help="How far pixels of two devices may be apart.",
)
@click.option("--against", "original", metavar="SRC", help="Compare with the picture SRC.")
@click.option(
    "--min", "least", type=Threshold(), multiple=True, help="Such as psnr=30 or ms-ssim=0.98."
)
@click.option("--max", "most", type=Threshold(), multiple=True, help="Such as lpips=0.1.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="CPU threads (0: all).")
@json_option("verify")
@global_options
@click.pass_context
def command(
    context: click.Context,
    sources: tuple[str, ...],
    deep: bool,
    devices: tuple[str, ...] | None,
    pixel_tolerance: int,
    original: str | None,
    least: tuple[tuple[str, float], ...],
    most: tuple[tuple[str, float], ...],
    threads: int,
    as_json: bool,
) -> None:
    """Check each INPUT (a .sic file, or -): its header and the checksums of all layers.

    \b
    --deep     also decodes every symbol and compares them with the digests in the file
    --against  also decodes the highest level and measures it; --min and --max set limits

    \b
    Examples:
      sic verify *.sic
      sic verify --deep --device cpu,cuda photo.sic
      sic verify photo.sic --against photo.png --min psnr=32

    \b
    Exit codes: 0 whole; 3 cut or damaged, but some levels are whole; 5 no level is; 11 symbols differ
    from their digests, devices from each other, or a limit is not met. Of several inputs: 1 if any
    failed, or 3 if cut files were the only fault.
    """
    limits = [Limit(m, v, False) for m, v in least] + [Limit(m, v, True) for m, v in most]
    if limits and original is None:
        raise UsageError("--min and --max need --against SRC")
    if original is not None and len(sources) > 1:
        raise UsageError("--against takes one INPUT")
    if original == "-" and "-" in sources:
        raise UsageError("only one of INPUT and SRC can be standard input")
    typed = context.get_parameter_source("devices") is click.core.ParameterSource.COMMANDLINE
    deep = deep or typed
    where = devices or ("auto",)
    picture = None if original is None else read_input(original, MAX_PICTURE)

    def one(source: str) -> tuple[dict[str, Any], SicError | None]:
        _, parsed = open_sic(source)
        name, found = printable(source), checksums(parsed)
        if parsed.layers and (deep or picture is not None):
            set_threads(threads)
        if parsed.layers and deep:
            symbols(parsed, name, where, pixel_tolerance, found)
        if picture is not None and found.level >= 0 and not found.wrong:
            found.metrics = against(
                parsed, name, picture, printable(original or ""), limits, where[0]
            )
            for limit in limits:
                fault = limit.fault(found.metrics[limit.metric])
                found.add(str(limit), fault is None, fault)
        wrong = _error(printable(source), found, parsed.fault, parsed.fault_kind)
        if not as_json:
            _tell(printable(source), found, deep)
        return _document(source, found, wrong), wrong

    each(sources, "sic.verify/1", as_json, one)


def _error(name: str, found: Findings, fault: str | None, kind: str) -> SicError | None:
    if found.wrong:
        return CheckError(f"{name}: {found.wrong}")
    if found.level < 0:
        return CorruptError(f"{name}: no whole level: {fault or 'the file ends before layer 0'}")
    return PartialError(f"{name}: {fault}") if fault and kind != "trailing" else None


def _tell(name: str, found: Findings, deep: bool) -> None:
    how = "decoded and compared" if deep else "checksums right"
    levels = f"levels 0 to {found.level} {how}" if found.level >= 0 else "no whole level"
    click.echo(f"{name}: {levels}")
    if len(found.devices) > 1:
        for device in found.devices:
            click.echo(
                f"  {device.device}: indices {device.latent_hash}, off by {device.max_abs_diff}"
            )
    for metric, value in found.metrics.items():
        click.echo(f"  {METRICS[metric].title}: {METRICS[metric].formatted(value)}")


def _document(source: str, found: Findings, error: SicError | None) -> dict[str, Any]:
    code, failed = (error.exit_code, failure(error)) if error else (0, None)
    return {
        **head("sic.verify/1", source, None, code, failed),
        "checks": [asdict(check) for check in found.checks],
        "last_good_level": found.level if found.level >= 0 else None,
        "devices": [asdict(device) for device in found.devices],
        "metrics": {METRICS[metric].key: value for metric, value in found.metrics.items()},
    }
