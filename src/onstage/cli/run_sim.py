"""`onstage sim`: the engine in many generated worlds full of faults, each repeatable from its seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import click
import msgspec

from onstage.cli.failures import Exit, Failure
from onstage.cli.printing import note, plural, print_json

if TYPE_CHECKING:
    from onstage.testing.world.many import Totals
    from onstage.testing.world.shrink import Values
    from onstage.testing.world.world_run import Result

__all__ = ["command"]

TOLD_EVERY_S: Final = 10.0
TOLD_EVERY_PART: Final = 0.05
SILENT_S: Final = 60.0


@click.command("sim", short_help="Try the engine in generated worlds full of faults.")
@click.option("--seeds", type=click.IntRange(1, 10_000_000), default=200, show_default=True, help="How many worlds.")
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="The first seed.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="How many processes.")
@click.option(
    "--replay", type=click.IntRange(0), metavar="SEED", help="Play one world again, and shrink it if it fails."
)
@click.option(
    "--tape", type=click.Path(path_type=Path), help="Play a tape that was shrunk; with --replay, write it there."
)
@click.option("--strict", is_flag=True, help="Fail too if a rare situation was never seen: for 1,000 worlds and more.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def command(
    *, seeds: int, first: int, workers: int, replay: int | None, tape: Path | None, strict: bool, output: str
) -> int:
    """Play worlds of the real engine and the real SQL, on virtual time, with services, clients and faults of its own.

    In each world faults strike first (safety), then they stop and everything has to end (liveness). The same seed
    gives the same world. Nothing of yours is touched.
    """
    if replay is not None or tape is not None:
        from onstage.testing.world.many import quiet

        with quiet():
            return _one(replay, tape)
    from onstage.testing.world.many import play_many

    if output == "text":
        note(f"{plural(seeds, 'world')} from seed {first}, {plural(workers, 'process')} ...")
    totals = play_many(first, seeds, workers, tell=_Progress(seeds))
    if output == "json":
        print_json(msgspec.to_builtins(totals) | {"cold": totals.cold, "struck": totals.struck})
    else:
        _print(totals)
    return int(bool(totals.failed or (strict and totals.cold)))


@final
class _Progress:
    """Says on stderr what failed as soon as it is known, and now and then how far a long run is."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._told_s = 0.0
        self._told = 0

    def __call__(self, part: Totals, whole: Totals) -> None:
        for seed, violations in part.failures:
            note(f"seed {seed}: {violations[0]}\n  replay: onstage sim --replay {seed}")
        waited_s, progress = whole.seconds - self._told_s, (whole.seeds - self._told) / self._seeds
        if whole.seeds == self._seeds or waited_s < TOLD_EVERY_S:
            return
        if progress >= TOLD_EVERY_PART or waited_s >= SILENT_S:
            self._told_s, self._told = whole.seconds, whole.seeds
            left_s = whole.seconds / whole.seeds * (self._seeds - whole.seeds)
            note(
                f"{whole.seeds:,} of {self._seeds:,} worlds in {whole.seconds:,.0f} s, {whole.failed} failed, "
                f"about {left_s:,.0f} s to go"
            )


def _print(totals: Totals) -> None:
    seeds = totals.seeds
    click.echo(
        f"{seeds:,} seeds in {totals.seconds:,.1f} s ({seeds / totals.seconds:,.1f} a second), per seed "
        f"{totals.events / seeds:.1f} events, {totals.commits / seeds:.1f} commits, "
        f"{totals.crashes / seeds:.1f} crashes, {totals.struck / seeds:.1f} faults"
    )
    for fault, count in totals.faults.most_common():
        click.echo(f"  {count:>9,}  {fault}")
    click.echo(f"{plural(len(totals.faults), 'class')} of faults")
    for mark in totals.cold:
        click.echo(f"never seen: {mark}")
    for seed, violations in totals.failures:
        click.echo(f"seed {seed}: {violations[0]}")
        click.echo(f"  replay: onstage sim --replay {seed}")
    click.echo(f"{plural(totals.failed, 'world')} in which something did not hold")


def _one(seed: int | None, path: Path | None) -> int:
    from onstage.testing.world.playing import play
    from onstage.testing.world.shrink import shrink, size

    if seed is None:
        assert path is not None, "one of the two is given"
        seed, given = _read(path)
        return _report(play(seed, given))
    result = play(seed)
    if not result.violations:
        return _report(result)
    invariant = result.violations[0].partition(":")[0]

    def fails(tape: Values) -> bool:
        return any(what.startswith(invariant) for what in play(seed, tape).violations)

    _report(result)
    least = shrink(result.tape, fails)
    path = path or Path(f"sim-{seed}.json")
    path.write_bytes(msgspec.json.encode({"seed": seed, "tape": least}))
    click.echo(f"shrunk from {size(result.tape)[0]} choices to {size(least)[0]}: onstage sim --tape {path}")
    return _report(play(seed, least))


def _read(path: Path) -> tuple[int, dict[str, list[int]]]:
    try:
        document: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        return int(document["seed"]), msgspec.convert(document["tape"], dict[str, list[int]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = str(error) or type(error).__name__
        raise Failure(f"{path} is no tape", why, "write one with --replay SEED", code=Exit.USAGE) from error


def _report(result: Result) -> int:
    click.echo(
        f"seed {result.seed}: {result.events} events, {result.commits} commits, {result.crashes} crashes, "
        f"trace {result.trace_hash}"
    )
    for fault, count in result.faults.most_common():
        click.echo(f"  {count:>5}  {fault.value}")
    for violation in result.violations:
        click.echo(f"does not hold: {violation}")
    return int(bool(result.violations))
