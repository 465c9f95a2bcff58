"""Arbitrary bytes for the four parsers: specs, inputs, results and API replies.

Any content of a file or reply may raise a RunnerError and no other exception, and accepted content
keeps its promises. Each parser is one `Target`; `__main__` runs it for minutes, guided by coverage
if atheris is installed, and `test_fuzz` for seconds.

The tests do not require atheris: it has wheels of 35 MB for Linux on x86_64 only, and needs a
clang with libFuzzer elsewhere. Both drivers make inputs with `mutation`.
"""
