"""Ten million rows through the real steps, beside plain pandas doing the same."""
