"""``python -m photonpu``: the command line."""

from photonpu.cli import main

if __name__ == "__main__":
    main()
