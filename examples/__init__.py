"""Models to look at, to try, and to begin from: `make example NAME=bikes` runs one."""
