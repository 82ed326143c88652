"""What the command line prints for people. Everything here takes the console to print on.

| module | what it shows |
| --- | --- |
| screen | consoles, tables and lines that nothing from the wire can steer |
| picture | pictures that were made, and the attempts behind them |
| batch | what becomes of the requests of a batch |
| progress | what happens on the way, while it happens |
| explanation | what would be tried |
| catalog, pose | the models; the poses |
| recommendation | which of them to use |
| status | how providers and routes are doing |
| record | what became of requests |
| breaker | what operators have decided |
| doctor | what works, and what to do where it does not |
| local | what `up` started, keys that were made, and what is wrong with files |
"""

from imagegate.client.output.batch import batch_on
from imagegate.client.output.breaker import print_decisions, print_overrides, print_silent
from imagegate.client.output.catalog import print_models
from imagegate.client.output.doctor import print_diagnosis, print_plan
from imagegate.client.output.explanation import print_explanation
from imagegate.client.output.local import print_key, print_problems, print_running
from imagegate.client.output.picture import print_attempts, print_result
from imagegate.client.output.pose import print_poses
from imagegate.client.output.progress import counter, progress_on, spinner
from imagegate.client.output.recommendation import print_recommendations
from imagegate.client.output.record import print_record, print_records
from imagegate.client.output.screen import console
from imagegate.client.output.status import print_status, status_view

__all__ = [
    "batch_on",
    "console",
    "counter",
    "print_attempts",
    "print_decisions",
    "print_diagnosis",
    "print_explanation",
    "print_key",
    "print_models",
    "print_overrides",
    "print_plan",
    "print_poses",
    "print_problems",
    "print_recommendations",
    "print_record",
    "print_records",
    "print_result",
    "print_running",
    "print_silent",
    "print_status",
    "progress_on",
    "spinner",
    "status_view",
]
