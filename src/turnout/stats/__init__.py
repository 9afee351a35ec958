"""Sequential tests: numbers in, numbers out, no input or output.

Every test has `update(...)`, a read-only result, and `state()` / `restore(...)` as plain JSON values.
"""
