"""Model bundles in use: packing, the self-test, the cache, and where bundles come from."""
