"""`python -m meshpki`, and the console script."""

import gc
import sys

# What a command reads lives until it ends, with hardly a cycle in it: to look for some after every 700 objects, as
# Python does, costs a tenth of a verify of 10,000 pods.
_OBJECTS = 50_000


def main() -> None:
    """Run meshpki; `--version` alone is answered before anything is imported."""
    if sys.argv[1:] == ["--version"]:
        from meshpki import __version__  # noqa: PLC0415 - a millisecond instead of fifty

        sys.stdout.write(f"meshpki {__version__}\n")
        return
    gc.set_threshold(_OBJECTS)
    from meshpki.cli.app import run  # noqa: PLC0415 - after the fast path above

    sys.exit(run())


if __name__ == "__main__":
    main()
