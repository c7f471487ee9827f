"""The parts of benchmarks/patients.py."""
