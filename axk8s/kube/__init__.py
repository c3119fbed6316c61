"""The only door to the Kubernetes API: dicts in and out, errors mapped once, retries for every verb, one watch a kind.

The official client is used as a transport (authentication, TLS, proxies); its models are not, for they cost more than
the network.
"""
