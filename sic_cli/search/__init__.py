"""What the encoder may think about: cells that say more for fewer bits, for a decoder that stays as it is."""
