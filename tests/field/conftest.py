"""The project and the provider of the tests of failure modes."""

from tests.failures.conftest import folder, make_site

__all__ = ["folder", "make_site"]
