"""The simulator: one script of traffic against three policies, in virtual time. `make simulate` prints the table.

| module | what it knows |
| --- | --- |
| engine | virtual time: a heap of what happens next |
| traffic | who calls when, and how long their pictures take where all is well |
| faults | how an upstream behaves, as a function of time |
| gateway | what a policy must answer: whom to try next, and for how long |
| ours | our policy behind that face |
| cooldown, count_window | two others, written from what is published of them |
| replay | one caller after the other through a gateway into the upstreams |
| measure | what came of it, in numbers that mean the same for every policy |
| scenarios | the faults that are played, and the assumptions that stand behind them |
| table | the numbers, for a terminal and for a README |
"""
