"""IPFIX as a collector reads it (RFC 7011, 5103, 5610, 6313): messages in, Arrow record batches out; knows no capture."""
