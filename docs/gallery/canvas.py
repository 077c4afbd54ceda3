"""Figures that look alike: small PNGs, colours that hold on white."""

import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

INK, SOFT, BLUE, RED, GREEN, VIOLET, ORANGE = (
    "#1b1f24",
    "#5b6470",
    "#0b57d0",
    "#b3261e",
    "#137333",
    "#8430ce",
    "#b06000",
)

LARGEST = 95_000  # bytes of a picture


def panels(n, title, heights=None):
    """n axes below each other, and the figure."""
    figure = Figure(figsize=(9, 1.9 * n + 0.7), layout="constrained", facecolor="white", dpi=90)
    FigureCanvasAgg(figure)
    rows = figure.subplots(n, 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    figure.suptitle(title, fontsize=11, color=INK, x=0.02, ha="left")
    for axes in rows:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=SOFT)
        axes.grid(color="#e4e8ee", lw=0.6)
        axes.set_axisbelow(True)
    return figure, rows


def save(figure, script):
    """Write the picture beside the script, or into the folder that the command line names; return its path."""
    folder = Path(sys.argv[1]) if len(sys.argv) == 2 and Path(sys.argv[1]).is_dir() else Path(script).parent
    path = folder / Path(script).with_suffix(".png").name
    figure.canvas.draw()
    drawn = Image.frombuffer("RGBA", figure.canvas.get_width_height(), figure.canvas.buffer_rgba()).convert("RGB")
    drawn.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        drawn.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)
    return path
