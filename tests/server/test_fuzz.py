"""schemathesis' requests, shortly: no answer of 500 or above, every refusal a `Status`, and no bug in the log.

`python -m tests.server.fuzz 3600` sends other ones for an hour.
"""

import logging
import random

import pytest

from tests.server import fuzz

OPERATIONS = 120  # of several hundred, others in every run
EXAMPLES = 4


@pytest.mark.timeout(900)
def test_no_request_of_schemathesis_is_answered_with_a_bug() -> None:
    log, number = fuzz.Log(), random.SystemRandom().randrange(1 << 30)
    logger = logging.getLogger("orchestr")
    logger.addHandler(log)
    try:
        with fuzz.running() as path:
            fuzzer = fuzz.Fuzzer(path, log, pause=0)
            every = fuzz.operations(fuzzer.documents())
            for operation in random.Random(number).sample(every, OPERATIONS):
                fuzz.fuzz(fuzzer, operation, EXAMPLES, number)
            fuzzer.close()
    finally:
        logger.removeHandler(log)
    told = "\n".join(map(str, fuzzer.findings))
    assert not fuzzer.findings, f"{len(fuzzer.findings)} of {fuzzer.sent} with the seed {number}:\n{told}"
    assert fuzzer.sent >= OPERATIONS
