"""The codec of a paper and nothing else: networks, quantisation, symbols, entropy coding, container."""
