"""A progress bar on the terminal, for whatever reports how far it has come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from warmstart.core.types import Progress


@contextmanager
def progress_bar(title: str, *, show: bool | None = None) -> Iterator[Progress | None]:
    """Give a `Progress` that draws a bar on stderr while the block runs.

    Args:
        title: stands before the first report.
        show: None shows it where stderr is a terminal; where it is not shown, the value is None.

    Example:
        >>> with progress_bar("training", show=False) as progress:
        ...     print(progress)
        None
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=max(1, total), description=message)

        yield report
