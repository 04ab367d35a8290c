"""``python -m tpsd`` is ``tpsd``. Ctrl-C while its parts are still being loaded ends it without a traceback."""

import sys

try:
    from tpsd.cli import main
except KeyboardInterrupt:
    sys.exit(130)

if __name__ == "__main__":
    main()
