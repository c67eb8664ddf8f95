"""summary: every submission's path, score and checks, and how to see what the networks see."""

import json
from pathlib import Path

from darkroom import paramfile
from darkroom.layout import PARAMS, Layout
from darkroom.stages.check import verify


def run() -> int:
    """Print a table of the submissions; return 0 if all are there and right, else 6."""
    params = paramfile.read(Path(PARAMS))
    all_right = True
    for name in params.competitions:
        paths = Layout(name)
        if not paths.submission.exists() or not paths.metrics.exists():
            print(f"\n{name}\n  no submission yet: run `dvc repro`")
            all_right = False
            continue
        report = verify(paths, paths.submission, name)
        all_right &= report.ok
        scores = json.loads(paths.metrics.read_text())
        print(f"\n{name}")
        print(f"  submission  {paths.submission}")
        for part in ("validation", "test"):
            if part in scores:
                told = ", ".join(
                    f"{what} {value:.4f}"
                    for what, value in scores[part].items()
                    if isinstance(value, float)
                )
                print(f"  {part:<10}  {told}")
        state = "right" if report.ok else f"{report.fault_count} faults: darkroom check {name}"
        print(f"  check       {report.rows} rows, {state}")
        print(f"  look at     {paths.evaluation_sheet}, {paths.contact_sheet}")
    print("\nWhat the networks see: make tensorboard  (tensorboard --logdir runs)")
    return 0 if all_right else 6
