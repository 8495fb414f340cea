"""mkdocs hook: the plots that lie beside the results become images of the docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401  (mkdocs hands it over)
    """Add every `results/*.svg` as `images/results/*.svg`."""
    for path in sorted(_BENCHMARKS.glob("**/results/*.svg")):
        files.append(File.generated(config, f"images/results/{path.name}", abs_src_path=str(path)))
    return files
