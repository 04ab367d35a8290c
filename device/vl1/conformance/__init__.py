"""Judging somebody else's validator by the rules of links.md part 1, a script of steps for each."""
