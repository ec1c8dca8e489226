"""``python -m inferox``: the command line, where its script is not on the path."""

from inferox.cli.main import main

if __name__ == "__main__":
    main()
