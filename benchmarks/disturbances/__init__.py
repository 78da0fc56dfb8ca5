"""What `benchmarks.chaos` runs and hits: servers and workers of its own, a load of jobs, and the check of what is left.

stand.py        processes, their clocks, their disks: PostgreSQL, Redis, API, beat, workers; or the embedded service
worker.py       the worker with made-up trainings; serve.py: `fewbits serve` with such workers
trainings.py    the process of a job whose trainings only take time
events.py       what is done to them, drawn by a seed
load.py         jobs of all oracles and both schedules, final trainings, by HTTP
observer.py     what runs when, how long it is away, how long trials wait to be run again
judge.py        what must hold of the rows in the end
"""
