"""Arbitrary bytes for the four parsers: specs, inputs, results and API replies.

Whatever stands in a file or comes over the network may raise an error of runner's tree and
nothing else, and what is accepted keeps its promises. Each parser is one `Target`; `__main__`
runs it for minutes, steered by coverage where atheris is installed, and `test_fuzz` for seconds.

Atheris is no requirement of the tests: it has wheels for Linux on x86_64 alone, of 35 MB, and
anywhere else wants a clang with libFuzzer. What makes an input is ours either way (`mutation`).
"""
