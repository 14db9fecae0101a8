"""`python -m onstage`: the command line, where no `onstage` is on the path."""

from onstage.cli.main import main

if __name__ == "__main__":
    main()
