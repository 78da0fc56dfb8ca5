"""The networks a job can name: those that ship with fewbits, and how a job's model becomes one. Plain."""
