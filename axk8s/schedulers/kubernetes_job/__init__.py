"""The TorchX scheduler `kubernetes_job`: an AppDef as one Indexed Job, with nothing installed in the cluster.

options     what may be said with -cfg; pure
overlay     the user's own changes to the pod; pure
pod, job    AppDef and options to manifests; pure
request     the manifests as they are kept and sent
view        Job and Pods to where an attempt is; pure
observer    one list and watch a kind for a whole sweep
logs        a replica's output
preflight   what can be known before the first Job
scheduler   TorchX's interface to all of it
"""
