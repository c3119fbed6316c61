"""The controller's ports again, under a clock that jumps: a sweep of days runs in seconds, and no job is started.

The world (a clock, a cluster, its faults) follows from conditions and one seed; it outlives controllers as a real
cluster does. Nothing here reads the time or draws unseeded numbers.
"""
