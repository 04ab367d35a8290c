"""Money as integer minor units and an ISO 4217 numeric currency."""

from dataclasses import dataclass

AMOUNT_MAX = 999_999_999_999  # tag 9F02 is n12 (EMV Book 3 Annex A)


@dataclass(frozen=True, slots=True)
class Money:
    """``amount`` in minor units, 0 to n12's largest; ``currency`` three digits. Raises ValueError otherwise."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= AMOUNT_MAX:
            raise ValueError(f"amount {self.amount} is outside 0 to {AMOUNT_MAX} minor units")
        if not (len(self.currency) == 3 and self.currency.isascii() and self.currency.isdigit()):
            raise ValueError(f"currency {self.currency!r} is not three digits (ISO 4217 numeric)")

    def __str__(self) -> str:
        return f"{self.amount / 100:.2f} {self.currency}"
