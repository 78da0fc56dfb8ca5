"""The same search written for other libraries; each file runs in a separate environment and does not import fewbits."""
