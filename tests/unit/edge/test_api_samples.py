"""How it went in the last hour, from what the routers count."""

from imagegate.edge.api.samples import MAX_ROUNDS, MAX_ROWS, Samples
from imagegate.v1 import router_pb2

Status, Provider, Model = router_pb2.RouterStatus, router_pb2.ProviderStatus, router_pb2.ModelStatus


def status(succeeded: int, failed: int, rate: float | None = None) -> Status:
    """A router with one provider and one model."""
    model = Model(key="dev", succeeded=succeeded, failed=failed, failure_rate=rate)
    return Status(providers=[Provider(name="fal", failure_rate=rate, models=[model, Model(key="idle")])])


def row(at: str, model: str, rate: float | None, ok: int, failed: int) -> dict[str, object]:
    return {"at": at, "provider": "fal", "model": model, "failure_rate": rate, "ok": ok, "failed": failed}


def test_a_sample_has_what_came_on_top_since_the_last_one() -> None:
    """R11: a sample counts what happened meanwhile, by provider and by each model of which there is something to tell;
    what was counted before anybody looked belongs to no sample.
    """
    samples = Samples()
    samples.take("1", {"r": status(100, 50)})
    samples.take("2", {"r": status(103, 51, rate=0.25)})
    assert samples.since() == [row("1", "", None, 0, 0), row("2", "", 0.25, 3, 1), row("2", "dev", 0.25, 3, 1)]


def test_replicas_are_counted_together() -> None:
    """R11: counts are added, rates averaged over the replicas that know one."""
    samples = Samples()
    samples.take("1", {"r": status(0, 0), "s": status(0, 0), "t": status(0, 0)})
    samples.take("2", {"r": status(1, 1, rate=0.5), "s": status(4, 0, rate=0.0), "t": status(0, 0)})
    assert samples.since(1) == [row("2", "", 0.25, 5, 1), row("2", "dev", 0.25, 5, 1)]


def test_a_restart_and_an_absence_invent_nothing() -> None:
    """R11: a replica that restarts counts from zero; one that was away goes on where it was."""
    samples = Samples()
    samples.take("1", {"r": status(100, 0), "s": status(5, 0)})
    samples.take("2", {"r": status(2, 1), "s": None})
    samples.take("3", {"r": status(2, 1), "s": status(6, 0)})
    counts = [(each["at"], each["ok"], each["failed"]) for each in samples.since() if not each["model"]]
    assert counts == [("1", 0, 0), ("2", 2, 1), ("3", 1, 0)]
    samples.take("4", {"s": status(6, 0)})
    samples.take("5", {"r": status(90, 0), "s": status(6, 0)})
    assert all(each["ok"] == 0 for each in samples.since(3))


def test_samples_are_bounded() -> None:
    """R11: no more than an hour is kept, and of one moment the providers and the busiest models."""
    samples = Samples()
    many = [Model(key=f"m{number}") for number in range(200)]
    samples.take("0", {"r": Status(providers=[Provider(name="fal", models=many)])})
    for number, model in enumerate(many):
        model.succeeded = number
    samples.take("1", {"r": Status(providers=[Provider(name="fal", models=many)])})
    rows = samples.since(1)
    assert (len(rows), rows[0]["model"], rows[1]["model"]) == (MAX_ROWS, "", "m199")
    for number in range(2 * MAX_ROUNDS):
        samples.take(str(number), {"r": status(0, 0)})
    assert len(samples.since()) == MAX_ROUNDS
