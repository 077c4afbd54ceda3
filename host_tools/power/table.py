"""What host_tools.power.model says, for a person."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from host_tools.power import model

_BAR = 30  # characters of the whole


def show(console: Console, name: str, settings: model.Settings, battery_mah: float, *, sources: bool = False) -> None:
    """Print hours, where the charge goes, and what to change first."""
    found = model.budget(settings)
    table = Table("what", "mA, mean", "share", "", "when", title=f"{name}: {found.total_ma:.2f} mA")
    for part in sorted(found.parts, key=lambda one: -one.ma):
        share = part.ma / found.total_ma
        table.add_row(part.name, f"{part.ma:.3f}", f"{100 * share:.1f} %", "█" * round(_BAR * share), part.why)
    console.print(table)
    hours = found.hours(battery_mah)
    console.print(f"{battery_mah:g} mAh last {hours:.1f} h ({100 * model.USABLE:.0f} % of the rated charge is usable)")
    console.print("change first:")
    for words, gained in model.changes(settings, battery_mah):
        console.print(f"  {gained:+7.1f} h  {words}")
    estimates = [what for what, figure in model.sources(settings) if figure.estimate]
    console.print(f"[dim]estimates of ours, not datasheets: {', '.join(estimates)}")
    if sources:
        told = Table("figure", "value", "source")
        for what, figure in model.sources(settings):
            told.add_row(
                what, f"{figure.value:g} {figure.unit}", ("estimate: " if figure.estimate else "") + figure.source
            )
        console.print(told)
