"""C99 of an integer program: integers only, no allocation, weights in their bits.

packing     constants: the narrowest types, weights packed to their bits
plan        which steps one function does together, and where each tensor lies in memory
text        numbers, places and comments
emitter     lines, loops, constants, and what is done to a number before it is stored
emit        the function of a group of steps
products    that of a product with a kernel
network     the header, the network and its main
"""
