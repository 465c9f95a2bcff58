"""The tests; a package so that the simulation can be imported from any of its folders."""
