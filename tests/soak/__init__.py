"""Everything that tries to break tpsd by luck, for as long as one likes: ``python -m tests.soak --hours 1``."""
