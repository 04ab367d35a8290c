"""What the TLVs of cards, readers and Sfey mean; nothing here decides about a tap or prints card data."""
