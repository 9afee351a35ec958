"""The servers that are compared, each as its own project shows it. They run in environments of their own."""
