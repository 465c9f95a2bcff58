"""Tests of the provider `local`, from outside: a real server and the official client."""
