"""sic against other codecs: files of real bytes, rows that can be resumed, averages over them."""
