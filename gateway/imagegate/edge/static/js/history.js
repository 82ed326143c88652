// Samples of the last hour, by provider and model. Pure.

const HOUR = 3600e3;

export class History {
  #samples = new Map();

  /** Forget everything and keep these. */
  replace(samples) {
    this.#samples.clear();
    this.add(samples);
  }

  /** Keep these as well; what is older than an hour goes. */
  add(samples) {
    for (const sample of samples) {
      const key = `${sample.provider}/${sample.model}`;
      const kept = this.#samples.get(key) ?? [];
      const newest = Date.parse(sample.at);
      this.#samples.set(key, [...kept.filter(({ at }) => Date.parse(at) > newest - HOUR), told(sample)]);
    }
  }

  /** The samples of a provider, or of one of its models, the oldest first. */
  of(provider, model = "") {
    return this.#samples.get(`${provider}/${model}`) ?? [];
  }
}

/** A breaker that opens forgets its window: then what failed since the last sample tells the rate. */
function told({ at, failure_rate: rate, ok, failed }) {
  return { at, failure_rate: rate ?? (ok + failed ? failed / (ok + failed) : null) };
}
