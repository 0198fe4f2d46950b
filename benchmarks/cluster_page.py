"""The figures of cluster.py as the page on planning shows them: what a core does, and what a million cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bucket import PRICES

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
CORE_HOUR = 0.04
GB_MONTH = 0.023
"""Dollars: a core hour of common clouds, and a month of S3 Standard."""
MILLION = 1_000_000
SIZES = (("256x192", 0.049152), ("768x512", 0.393216), ("4000x3000", 12.0))


def text(found: dict[str, Any]) -> str:
    """Whatever was measured."""
    parts = []
    if "speed" in found:
        parts += [_speed(found["speed"]), _million(found["speed"], found.get("requests"))]
    else:
        parts.append("Speed was not measured yet: `python benchmarks/cluster.py speed`.")
    if "requests" in found:
        parts.append(_requests(found["requests"]))
    if "killed" in found:
        parts.append(_killed(found["killed"]))
    if "memory" in found:
        parts.append(_memory(found["memory"]))
    return "\n\n".join(parts)


def _speed(told: dict[str, Any]) -> str:
    rows = [
        f"Crops of {told['crop']}, all levels, {told['release']}, one thread a process, "
        f"{told['cores']} cores of {told['processor']}, {told['pictures']} pictures a run"
        + (f", the better of {told['rounds']} runs:" if told["rounds"] > 1 else ":"),
        "",
        "| run | first picture after | then pictures a second | megapixels a second | whole run |",
        "|---|---|---|---|---|",
    ]
    for name, run in told["runs"].items():
        rate = run["pictures_a_s"]
        rows.append(
            f"| `{name}` | {run['start_s']:.1f} s | {rate:.2f} | {rate * told['megapixels']:.3f} "
            f"| {run['whole_s']:.1f} s |"
        )
    rows.append("")
    for jobs, over in told["overhead_percent"].items():
        rows.append(
            f"- With {jobs} at a time the cluster takes {_percent(over['steady'])} once it runs, "
            f"{_percent(over['whole'])} over the whole run, the start of its processes included."
        )
    return "\n".join(rows)


def _percent(more: float) -> str:
    return f"{abs(more):.1f} % {'more' if more >= 0 else 'less'} time"


def _million(told: dict[str, Any], asked: dict[str, Any] | None) -> str:
    a_core = told["runs"]["-j 1"]["pictures_a_s"] * told["megapixels"]
    requests = dollars(asked["each"]) if asked else 0.0
    rows = [
        "A million pictures, all levels, by the rate of `-j 1` and "
        f"{told['bits_a_pixel']:.2f} bits a pixel; {CORE_HOUR} dollars a core hour"
        + (f", {requests:.2f} dollars for requests" if asked else "")
        + f", {GB_MONTH} dollars a GB and month:",
        "",
        "| pictures of | core hours | on 100 cores | machines and requests | size | a month on S3 |",
        "|---|---|---|---|---|---|",
    ]
    for name, megapixels in SIZES:
        hours = MILLION * megapixels / a_core / 3600
        size = told["bits_a_pixel"] / 8 * megapixels * MILLION / 1000
        rows.append(
            f"| {name} | {hours:,.0f} | {hours / 100:,.1f} h "
            f"| {hours * CORE_HOUR + requests:,.0f} dollars | {size:,.0f} GB "
            f"| {size * GB_MONTH:,.0f} dollars |"
        )
    return "\n".join(rows)


def dollars(each: dict[str, float]) -> float:
    """What the requests of a million pictures cost; each: how many of a kind for one picture."""
    return sum(PRICES[kind] * number for kind, number in each.items())


def _requests(told: dict[str, Any]) -> str:
    """Counted by the store."""
    each = ", ".join(f"{n:g} {kind}" for kind, n in told["each"].items() if n)
    run = ", ".join(f"{n:g} {kind}" for kind, n in told["run"].items() if n and kind != "REPORT")
    return (
        f"Requests, as the store on loopback counted them, from bucket to bucket: {each} a picture; {run} "
        "more a run of one folder, and for its report a put every ten seconds. A million pictures: "
        f"{dollars(told['each']):.2f} dollars on S3 at list prices."
    )


def _killed(told: dict[str, Any]) -> str:
    return (
        f"{told['pictures']} pictures from bucket to bucket, one of two workers killed: "
        f"{told['done']} done, {told['twice']} twice, {told['same_bytes_as_here']} with the bytes of "
        f"a run on files here, in {told['whole_s']:.0f} s."
    )


def _memory(told: list[dict[str, Any]]) -> str:
    rows = [
        "The client's memory, for tasks that do nothing:",
        "",
        "| planned files | before | planned | at most, until | so many were done | in flight |",
        "|---|---|---|---|---|---|",
    ]
    for row in told:
        rows.append(
            f"| {row['files']:,} | {row['before_mib']:.0f} MiB | {row['planned_mib']:.0f} MiB "
            f"| {row['after_mib']:.0f} MiB | {row['done']:,} | {row['most_in_flight']} |"
        )
    return "\n".join(rows)


def write(page: Path, found: dict[str, Any]) -> None:
    """Put the figures between the page's marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text(found)}\n{END}{after}")
