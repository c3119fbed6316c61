"""The TorchX scheduler `local`: detached, re-adoptable jobs on this machine. Nothing is imported from here.

    scheduler   what TorchX calls          request   an AppDef, planned replica by replica
    observer    reports changes at once    record    what a job's folder says, and whether that is still true
    supervisor  the process beside a job   replica   one of the processes that it starts and ends
    jobfolder   the files of a job         registry  which folder belongs to which app id
    process     facts from the kernel      slots     GPU leases          logs  reading the output

The supervisor and what it imports (`replica`, `jobfolder`, `process`, `slots`) use the standard library only.
"""
