"""The encoder's search: indices that say more for fewer bits, for a decoder that stays as it is."""
