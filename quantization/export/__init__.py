"""Exports of a quantized model.

legality/      what hardware, compilers and formats take; plain
formats/       the formats, each with its rules and options; plain: an API lists and checks them without Keras
writers/       writes a model in a format
runners/       runs what was written, by the format's own runtime, in a fresh process
integers, codes, parameters, table     the weights of every trial, and its quantizers
"""
