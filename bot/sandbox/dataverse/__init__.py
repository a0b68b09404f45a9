"""A stand-in for Dynamics 365 Customer Insights as its readers see it: Dataverse's Web API and Entra's sign-in.

One process, one environment of one tenant, over TLS on loopback. Customers are made by arithmetic from a seed, so a
million and a half of them take no memory. What the public documentation leaves open is a switch
(`assumptions.SWITCHES`), and what can go wrong is a fault (`faults.Kind`). Tests and demo steer it through
`/_emulator/`, which the real services do not have.

It shares no code with the client that reads it.
"""
