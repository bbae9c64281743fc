"""`python -m meshpki`, and the console script."""

import gc
import os
import sys

# What a command reads lives until it ends, with hardly a cycle in it: to look for some after every 700 objects, as
# Python does, costs a tenth of a verify of 10,000 pods.
_OBJECTS = 50_000


def main() -> None:
    """Run meshpki; `--version` alone is answered before anything is imported."""
    _open_closed_streams()
    if sys.argv[1:] == ["--version"]:
        from meshpki import __version__  # noqa: PLC0415 - a millisecond instead of fifty

        sys.stdout.write(f"meshpki {__version__}\n")
        return
    gc.set_threshold(_OBJECTS)
    line = os.environ.pop("_MESHPKI_COMPLETE", None)
    if line is not None:
        from meshpki.cli.completing import answer  # noqa: PLC0415 - only where a shell asks

        answer(line)
    from meshpki.cli.app import run  # noqa: PLC0415 - after the fast path above

    sys.exit(run())


def _open_closed_streams() -> None:
    """Where the shell closed one (`>&-`), the next file or socket would get its number, and all that is told."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
        sys.stdin = sys.stdin or os.fdopen(0)
        sys.stdout = sys.stdout or os.fdopen(1, "w")
        sys.stderr = sys.stderr or os.fdopen(2, "w")


if __name__ == "__main__":
    main()
