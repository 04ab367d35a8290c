"""``python -m tests.fuzz TARGET [--seconds N] [--found FOLDER]``: look for inputs that nobody has thought of.

Where atheris is installed (``pip install atheris``) coverage leads it, else hypothesis changes the kept inputs. An
input that breaks a contract belongs into ``tests/fuzz/corpus/TARGET`` under a name that says what it is.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

CORPUS = Path(__file__).parent / "corpus"
INPUT_SECONDS_MAX = 10  # for one input; libFuzzer calls more a hang
MEMORY_MIB_MAX = 1024
ROUND_EXAMPLES = 500


def main() -> int:
    """Fuzz one target until the time is over or something is found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=sorted(path.name for path in CORPUS.iterdir()))
    parser.add_argument("--seconds", type=int, default=60, help="how long (60)")
    parser.add_argument("--found", type=Path, default=None, help="folder for what is found (a new temporary one)")
    arguments = parser.parse_args()
    found = arguments.found or Path(mkdtemp(prefix=f"tpsd-fuzz-{arguments.target}-"))
    found.mkdir(parents=True, exist_ok=True)
    print(f"what is found lies in {found}", file=sys.stderr)
    if find_spec("atheris") is None:
        print("atheris is not installed: hypothesis changes the kept inputs", file=sys.stderr)
        return _by_hypothesis(arguments.target, arguments.seconds, found)
    return _by_coverage(arguments.target, arguments.seconds, found)


def _by_coverage(name: str, seconds: int, found: Path) -> int:
    """Does not return: libFuzzer ends the process, with 0 when the time is over."""
    import atheris  # noqa: PLC0415 - not everywhere

    with atheris.instrument_imports(include=["device", "tpsd", "schemas"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented
    target = TARGETS[name]
    atheris.Setup(
        [
            "tests.fuzz",
            f"-max_total_time={seconds}",
            f"-max_len={target.limit}",
            f"-timeout={INPUT_SECONDS_MAX}",
            f"-rss_limit_mb={MEMORY_MIB_MAX}",
            f"-artifact_prefix={found}/",
            str(found),
            str(CORPUS / name),
        ],
        target.run,
    )
    atheris.Fuzz()
    return 0


def _by_hypothesis(name: str, seconds: int, found: Path) -> int:
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415 - atheris needs none of it here

    from tests.fuzz.mutations import mutated  # noqa: PLC0415
    from tests.fuzz.targets import TARGETS, corpus  # noqa: PLC0415

    target, until = TARGETS[name], time.monotonic() + seconds

    @settings(max_examples=ROUND_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated(list(corpus(name).values()), target.limit))
    def play(data: bytes) -> None:
        (found / "last").write_bytes(data)  # after a failure: the smallest input that still fails
        target.run(data)

    rounds = 0
    while time.monotonic() < until:
        play()
        rounds += 1
        print(f"{rounds * ROUND_EXAMPLES} inputs, nothing found", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
