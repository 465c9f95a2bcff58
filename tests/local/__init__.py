"""The Batch API in a box, from the outside: a real server and the official client."""
