"""The commands of runner, one per file; the file has the name of its command."""
