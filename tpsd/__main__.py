"""``python -m tpsd`` is ``tpsd``."""

from tpsd.cli import main

if __name__ == "__main__":
    main()
