"""The demo: the whole story on real data, told by ordinary clients of the parts. Nothing here decides anything."""
