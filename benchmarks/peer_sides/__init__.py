"""The same search written for other libraries; each file runs in an environment of its own and imports no fewbits."""
