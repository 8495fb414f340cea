"""All learners on cold users and cold items: `python -m benchmarks.learners.compare NAME …`.

The comparison of `warmstart compare --learners all`, by scenario; `experiments/` has the settings,
one file each. Learners run with their defaults, which `benchmarks.learners.search` chose; the
baselines are tuned on validation users, once. A result is added, never edited.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.cold_users.run import main

HERE = Path(__file__).parent
EXPERIMENTS = HERE / "experiments"

if __name__ == "__main__":
    sys.exit(main(home=HERE, module="benchmarks.learners.compare"))
