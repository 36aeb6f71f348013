"""The command line, as ``python -m ranvier.cli``."""

from ranvier.cli.main import main

if __name__ == "__main__":
    main()
