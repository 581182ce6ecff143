"""Stand-ins for the source systems: real servers on loopback that unmodified clients talk to.

Nothing here imports anything of the lake, and only the demo, the tests and the benchmarks know of it.
`python -m sandbox` runs it; `sandbox.server.running()` starts it for a test.

One folder per kind of source (`odoo/`); what all share lies beside them: the clock, the faults, the traffic
counters, the story of companies, people and deals (`world.py`), and the control endpoints (`app.py`).
"""
