"""In which order the candidates of a request are tried now, and who is passed over. Pure.

The rule above all others: no protection fails a request while an admissible candidate exists and
its usual time fits the deadline. What slows down or ramps up only stands further back.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from imagegate.router import budget
from imagegate.router.admission import Admission
from imagegate.router.routes import Candidate
from imagegate.runtime.errors import Reason

# So long a model may warm while another candidate is there.
SHORT_WARMING_SECONDS = 20.0
NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a candidate is passed over; `wait` in seconds where it is known."""

    reason: Reason
    message: str = ""
    remedy: str = ""
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate of a request: what lies in its way whatever happens (`obstacle`), and what is configured for it.

    `limit` is the most seconds that an attempt may take, `objective` the seconds within which it is not slow.
    """

    candidate: Candidate
    obstacle: Obstacle | None = None
    limit: float | None = None
    objective: float | None = None


class Prospect(NamedTuple):
    """What would become of one candidate now: passed over for an `obstacle`, or tried in its turn.

    `place` is its number within the request. `is_trial`: only a breaker's statistics speak against it, so that it may
    be tried all the same; `trickles`: because nobody else is left. `warm_for`: the seconds for which its model is still
    being loaded, which are waited for first. `back_for`: why it stands further back than in its route.
    """

    place: int
    candidate: Candidate
    obstacle: Obstacle | None = None
    is_trial: bool = False
    trickles: bool = False
    warm_for: float | None = None
    back_for: str = ""


class Lineup(NamedTuple):
    """Those that would be tried, in order, and those that would be passed over."""

    turns: Sequence[Prospect]
    passed: Sequence[Prospect]


def line_up(
    entries: Sequence[Entry],
    admission: Admission,
    now: float,
    *,
    remaining: float | None = None,
    count: int = 1,
    tried: Collection[int] = (),
    may_warm: bool = True,
) -> Lineup:
    """Rank `entries` for a request for `count` pictures with `remaining` seconds; None: time plays no part.

    Those whose places are in `tried` are left out; with `may_warm` a model that is being loaded may be waited for.
    Changes nothing but what time alone changes.
    """
    all_ = [_prospect(place, entry, admission, now) for place, entry in enumerate(entries)]
    usable = sum(entry.obstacle is None for entry in entries)
    spared = _spared(all_, usable)
    prospects = [
        prospect._replace(obstacle=None, is_trial=True) if prospect.place in spared else prospect
        for prospect in all_
        if prospect.place not in tried
    ]
    if remaining is not None:
        room = budget.upstream_seconds(remaining - budget.RESERVE)
        prospects = [_in_time(p, entries[p.place], admission, room, count, is_only_one=usable == 1) for p in prospects]
    if remaining is not None and may_warm:
        prospects = _warming(prospects, admission, remaining, count)
    turns = [_held_back(p, entries[p.place], admission, now) for p in prospects if p.obstacle is None]
    if len(turns) > 1:
        turns.sort(key=lambda prospect: bool(prospect.back_for))  # stable: among themselves they keep their order
    passed = [prospect for prospect in prospects if prospect.obstacle is not None]
    if not turns:
        turns = _trickle(passed, admission, now)
        passed = [prospect for prospect in passed if prospect.place not in {turn.place for turn in turns}]
    return Lineup(turns, passed)


def usual_seconds(candidate: Candidate, admission: Admission, share: float, count: int) -> float:
    """The seconds that `share` of the candidate's answers to a request for `count` pictures stay within."""
    usual = budget.usual_seconds(candidate.model)
    return admission.usual(candidate.provider, candidate.key, share, usual) * count


def _prospect(place: int, entry: Entry, admission: Admission, now: float) -> Prospect:
    candidate = entry.candidate
    if entry.obstacle is not None:
        return Prospect(place, candidate, entry.obstacle)
    refusal = admission.refusal(candidate.provider, candidate.key, now)
    if refusal is None:
        return Prospect(place, candidate)
    cause = refusal.because
    obstacle = Obstacle(
        refusal.reason,
        f"after {cause.reason}: {cause.message}" if cause else "",
        cause.remedy if cause else "",
        refusal.wait,
    )
    return Prospect(place, candidate, obstacle, is_trial=refusal.is_statistical)


def _spared(prospects: Sequence[Prospect], candidates: int) -> frozenset[int]:
    """The places of those that are tried although their breakers are open: these may take away at most half of the
    `candidates`, rounded up. Those whose time ends soonest are spared.
    """
    refused = [prospect for prospect in prospects if prospect.is_trial]
    if not refused:
        return NOBODY
    refused.sort(key=_soonest)
    may_go = (candidates + 1) // 2
    return frozenset(prospect.place for prospect in refused[: max(len(refused) - may_go, 0)])


def _in_time(
    prospect: Prospect, entry: Entry, admission: Admission, room: float, count: int, *, is_only_one: bool
) -> Prospect:
    """Passed over where its usual time does not fit into `room` seconds; further back where only its slower answers do
    not.
    """
    if prospect.obstacle is not None and not prospect.is_trial and prospect.obstacle.reason is not Reason.WARMING:
        return prospect
    if room <= 0:
        return _too_late(prospect, "no time is left for it")
    if prospect.candidate.model is None or is_only_one:
        return prospect
    limit = budget.upstream_seconds(entry.limit or math.inf)  # nobody waits for longer
    usual = min(usual_seconds(prospect.candidate, admission, 0.50, count), limit)
    if usual > room:
        return _too_late(prospect, f"it usually takes {usual:.3g} s, and {room:.3g} s are left")
    slow = min(usual_seconds(prospect.candidate, admission, 0.90, count), limit)
    return prospect._replace(back_for=f"one answer in ten takes {slow:.3g} s and more") if slow > room else prospect


def _warming(prospects: Sequence[Prospect], admission: Admission, remaining: float, count: int) -> list[Prospect]:
    """Those whose model is being loaded wait in their place where that is short and leaves one of the others its usual
    time, or where nobody else is left.
    """
    if not any(prospect.obstacle is not None and prospect.obstacle.reason is Reason.WARMING for prospect in prospects):
        return list(prospects)
    others = [usual_seconds(p.candidate, admission, 0.50, count) for p in prospects if p.obstacle is None]
    room = budget.upstream_seconds(remaining - budget.RESERVE) - min(others, default=0.0)
    ranked = []
    for prospect in prospects:
        obstacle = prospect.obstacle
        wait = obstacle.wait if obstacle is not None and obstacle.reason is Reason.WARMING else None
        if wait is not None and (wait <= SHORT_WARMING_SECONDS or not others):
            usual = usual_seconds(prospect.candidate, admission, 0.50, count)
            if wait + usual <= room:
                ranked.append(prospect._replace(obstacle=None, warm_for=wait))
                continue
        ranked.append(prospect)
    return ranked


def _held_back(prospect: Prospect, entry: Entry, admission: Admission, now: float) -> Prospect:
    """Further back where its breaker is open, it has become slow, rejects everything, or has only just come back."""
    if prospect.back_for:
        return prospect
    if prospect.is_trial:
        return prospect._replace(back_for="its breaker is open, and half of the candidates are taken away already")
    provider, model = prospect.candidate.provider, prospect.candidate.key
    share = admission.share(provider, model, now)
    if admission.stands_last(provider, model, now):
        return prospect._replace(back_for=f"it rejects every input: {admission.rejecting(provider, model)}")
    if admission.is_slow(provider, model, now, budget.usual_seconds(prospect.candidate.model), entry.objective):
        return prospect._replace(back_for="it has become slow")
    if share < 1 and admission.toss() >= share:
        return prospect._replace(back_for=f"it has only just come back and gets {share:.0%} of its turns")
    return prospect


def _trickle(passed: Sequence[Prospect], admission: Admission, now: float) -> list[Prospect]:
    """Where nobody is left: once a second the one whose open breaker ends soonest."""
    soonest = min((p for p in passed if p.is_trial and _is_open(p)), key=_soonest, default=None)
    if soonest is None or not admission.may_trickle(soonest.candidate.provider, soonest.candidate.key, now):
        return []
    return [soonest._replace(obstacle=None, trickles=True)]


def _is_open(prospect: Prospect) -> bool:
    return prospect.obstacle is not None and prospect.obstacle.reason is Reason.CIRCUIT_OPEN


def _soonest(prospect: Prospect) -> float:
    return prospect.obstacle.wait or 0.0 if prospect.obstacle is not None else 0.0


def _too_late(prospect: Prospect, why: str) -> Prospect:
    obstacle = Obstacle(Reason.DEADLINE_TOO_SHORT, why, "give the request more time")
    return prospect._replace(obstacle=obstacle, is_trial=False)
