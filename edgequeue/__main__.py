"""`python -m edgequeue`: the command line."""

from edgequeue.cli import main

if __name__ == "__main__":
    main()
