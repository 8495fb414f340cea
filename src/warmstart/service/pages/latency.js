// Percentiles out of the service's own histogram, as /metrics tells it.

const BUCKET = /^warmstart_request_seconds_bucket\{(.*)\} (\S+)$/;
const LABEL = /(\w+)="([^"]*)"/g;

/** Return rows of {method, route, count, failed, p50, p99} in milliseconds, the busiest first. */
export function routes(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = BUCKET.exec(line);
    if (!match) continue;
    const label = Object.fromEntries([...match[1].matchAll(LABEL)].map((m) => [m[1], m[2]]));
    if (!label.route.startsWith("/v1/")) continue;
    const name = `${label.method} ${label.route}`;
    const row = found.get(name) ?? { method: label.method, route: label.route, good: new Map(), failed: 0 };
    found.set(name, row);
    const count = Number(match[2]);
    if (label.status.startsWith("2")) {
      const bound = label.le === "+Inf" ? Infinity : Number(label.le);
      row.good.set(bound, (row.good.get(bound) ?? 0) + count);
    } else if (label.le === "+Inf") row.failed += count;
  }
  const rows = [...found.values()].map((row) => ({
    method: row.method, route: row.route, failed: row.failed, count: row.good.get(Infinity) ?? 0,
    p50: 1000 * quantile(row.good, 0.5), p99: 1000 * quantile(row.good, 0.99),
  }));
  return rows.sort((a, b) => b.count - a.count);
}

/** Interpolate inside the bucket that holds the quantile; beyond the last bound, say that bound. */
export function quantile(buckets, share) {
  const bounds = [...buckets.keys()].sort((a, b) => a - b);
  const wanted = share * (buckets.get(Infinity) ?? 0);
  let [low, below] = [0, 0];
  for (const bound of bounds) {
    const upTo = buckets.get(bound);
    if (upTo >= wanted && upTo > below) {
      if (bound === Infinity) return low;
      return low + ((bound - low) * (wanted - below)) / (upTo - below);
    }
    if (bound !== Infinity) [low, below] = [bound, upTo];
  }
  return NaN;
}
