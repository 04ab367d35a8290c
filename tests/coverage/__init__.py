"""How much of what decides, keeps and reads is run by the tests: ``python -m tests.coverage``."""
