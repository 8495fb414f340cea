"""Shapes written in signatures are checked in the rooms where tensors live."""

from jaxtyping import install_import_hook

# kept open for the whole session: the rooms are imported by the first test that needs them
install_import_hook(["warmstart.models", "warmstart.meta"], "beartype.beartype")
