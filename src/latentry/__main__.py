"""`python -m latentry` and the command `latentry`: Ctrl-C ends them with one sentence, also while modules are imported."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from latentry.cli import main as run

        code = run()
    except KeyboardInterrupt:  # during the imports; later on the command line sees to it itself
        print("latentry: interrupted before it began", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
