"""Export of trained runs, and clients and servers for exported models."""
