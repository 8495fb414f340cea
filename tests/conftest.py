"""One thread for small matrices, and shapes checked in the rooms where tensors live."""

import os

# before NumPy and torch are imported: on tiny models, waiting for threads costs more than the work
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

# kept open for the whole session: the rooms are imported by the first test that needs them
install_import_hook(["warmstart.models", "warmstart.meta"], "beartype.beartype")
