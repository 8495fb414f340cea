"""One thread for small matrices, shapes checked where tensors live, the same examples each time."""

import os

# before NumPy and torch are imported: on tiny models, waiting for threads costs more than the work
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings
from jaxtyping import install_import_hook

# kept open for the whole session: the rooms are imported by the first test that needs them
install_import_hook(["warmstart.models", "warmstart.meta"], "beartype.beartype")

# a change is refused for what it does, not for an example that happened to be drawn that day
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
