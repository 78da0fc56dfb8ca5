"""The store: everything SQL, and the files beside it. Rows are the truth; a search is rebuilt from them at any time.

Functions get a session and change rows; they never commit (`Database.transaction` does) and know neither HTTP nor the
queue. In the order a newcomer should read:

The ground
    session             databases and sessions; the one place that commits, and that decides what is retryable
    postgres            connections to PostgreSQL on which nothing waits for ever
    models              the tables of jobs, trials, events, files and workers
    tenancy             a tenant's session sees the rows of that tenant only
    migrate             brings a database to the newest revision of its schema

A job and its trials
    lifecycle           which action is legal in which status, and where it leads; one table
    jobs                jobs: created, read, ended
    planned             what is stored of a job that has a plan
    job_actions         pause, resume, stop, cancel, retry, extend, change, delete
    trials              trials: added and read, with their epochs, layers and files
    events              the event log of a job, and the lock that every write acquires first

The work of workers
    leases              one worker at a time works on a row: claims, attempts, expiry
    capacity            what workers have and jobs ask for
    turns               the order in which trials begin: shares of tenants, priorities
    claims              trials: claimed, renewed, finished, returned to the queue
    final_reports       the report of a job whose search is over
    sensitivities       the sensitivity of a job, measured once before its first trials
    final_trainings     a chosen trial trained on; its table is in final_training_models
    exports             a trial in a device's or tool's format; its table is in export_models
    test_looks          how often the test data of a job were looked at
    workers             which worker processes are alive, and what keeps them from working
    draining            machines whose workers begin nothing new, before they are shut down
    overview            workers and leases, as operators see them
    waiting             why no worker works on a job, and the remedy
    sweeps              whose turn it is to look for the dead, and when somebody last did

What the API reads
    query               `sort`, `filter` and `fields` of a list, parsed
    reading             pages, columns and exports of jobs and trials
    scores              the score of a trial as an expression in SQL
    analysis            the measured trials for analyses and rankings
    pace                how long past trials took
    history             how jobs went: attempts, choices, live workers, jobs that wait

What the API checks and keeps
    idempotency         a request that is sent several times is carried out once
    quotas              what a tenant may use, and has used
    key_models          the tables of tenants and their keys; `service.auth.keys` uses them

Files
    blobs               content-addressed files, in a folder
    s3_blobs            the same in a bucket
    blob_cache          what a machine keeps of a bucket
    blob_stores         the store that the settings name
    deferred_deletes    content without references, removed later
    uploads             uploaded models and data sets; their table is in upload_models
    backups             database and files in a folder, and back
    upload_parts        the bytes of unfinished uploads
    references          the uploads that a job's specification refers to, looked up
"""
