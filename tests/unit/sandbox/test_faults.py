"""The rules of `/_faults`: which call meets which, and how bad ones are refused."""

import pytest

from imagegate.sandbox.faults import BadRulesError, Faults, read_rules

PATHS = ("/fal/queue/fal-ai/flux/dev", "/fal-ai/flux/dev")


def meet(faults, upstream="fal", method="POST", paths=PATHS, model="fal-ai/flux/dev", has_picture=True):
    rule = faults.meet(upstream, method, paths, model, has_picture=has_picture)
    return rule.fault if rule else None


def scripted(*rules, seed=0):
    faults = Faults(seed)
    faults.replace([{"upstream": "fal", "fault": "reset", **rule} for rule in rules])
    return faults


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ({}, True),
        ({"upstream": "huggingface"}, False),
        ({"method": "post"}, True),
        ({"method": "GET"}, False),
        ({"path": "/fal/queue/*"}, True),
        ({"path": "/fal-ai/flux/*"}, True),
        ({"path": "/flux/*"}, False),
        ({"model": "fal-ai/flux/dev"}, True),
        ({"model": "fal-ai/*"}, True),
        ({"model": "fal-ai/flux/schnell"}, False),
        ({"probability": 0}, False),
    ],
)
def test_matching(rule, met):
    """A call meets a rule whose every given field matches; the path is compared whole and below the prefix."""
    assert (meet(scripted(rule)) == "reset") is met


def test_first_match_wins_and_times_count_down():
    """The first matching rule is played; one with `times` is gone when it is used up."""
    faults = scripted({"fault": "html", "times": 2}, {"fault": "hang"})
    assert meet(faults) == "html"
    assert faults.rules()[0] == {"upstream": "fal", "fault": "html", "times": 1}
    assert [meet(faults), meet(faults), meet(faults)] == ["html", "hang", "hang"]
    assert len(faults.rules()) == 1


def test_probability():
    """The dice are thrown for each call, and the seed makes them repeat."""
    faults, again = scripted({"probability": 0.5}, seed=1), scripted({"probability": 0.5}, seed=1)
    met = [meet(faults) for _ in range(100)]
    assert 30 < met.count("reset") < 70
    assert met == [meet(again) for _ in range(100)]


@pytest.mark.parametrize("fault", ["truncate", "wrong_size", "black", "blank", "bomb"])
def test_picture_faults_wait_for_a_picture(fault):
    """A fault of pictures is not used up by a call that has none, such as a poll."""
    faults = scripted({"fault": fault, "times": 1})
    assert meet(faults, has_picture=False) is None
    assert meet(faults) == fault


def test_executed():
    """The generation is done and billed behind every fault, but not behind a refusal, unless the rule says so."""
    names = ["status", "loading", "hang", "reset", "truncate", "html"]
    rules = read_rules([{"upstream": "fal", "fault": name} for name in names])
    assert [rule.is_executed for rule in rules] == [False, False, True, True, True, True]
    (rule,) = read_rules([{"upstream": "fal", "fault": "status", "executed": True}])
    assert rule.is_executed


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"upstream": "fal"}, "expected a JSON list of rules"),
        ([{"upstream": "fal", "fault": "hangs"}], "rule 0: unknown fault 'hangs'; did you mean 'hang'?"),
        ([{"upstream": "fla", "fault": "hang"}], "rule 0: unknown upstream 'fla'; did you mean 'fal'?"),
        ([{"upstream": "fal", "fault": "hang", "tims": 1}], "rule 0: unknown field 'tims'; did you mean 'times'?"),
        ([{"upstream": "fal", "fault": "hang", "times": 0}], "rule 0: times: "),
        ([{"upstream": "fal"}], "rule 0: fault: Field required"),
        ([{"upstream": "fal", "fault": "status", "code": "503"}], "rule 0: code: "),
    ],
)
def test_bad_rules(rules, words):
    """What cannot be played is refused by name, with the nearest known one, and the old rules stay."""
    faults = scripted({})
    with pytest.raises(BadRulesError) as refusal:
        faults.replace(rules)
    assert words in str(refusal.value)
    assert meet(faults) == "reset"
