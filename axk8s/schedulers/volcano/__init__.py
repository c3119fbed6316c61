"""TorchX's own scheduler `kubernetes`, held right: an AppDef as one Volcano Job, watched like Kubernetes' own Jobs.

phase       what Volcano says of a Job, and its PodGroup of why it waits; pure
groups      one watch of the namespace's PodGroups
options     what may be said with -cfg; pure
job         TorchX's request as it is sent; pure
scheduler   TorchX's interface to it
"""
