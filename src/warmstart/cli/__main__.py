"""`python -m warmstart.cli` is `warmstart`."""

from warmstart.cli import main

if __name__ == "__main__":
    main()
