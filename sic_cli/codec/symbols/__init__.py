"""The order of symbols in a layer: coding passes, classes, blocks of zeros."""
