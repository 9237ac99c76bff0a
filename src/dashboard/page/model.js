// What has been heard from the proxy: one hour of seconds, the latest requests, decisions and events, and a cut of
// it all into as many bins as a chart has pixels. Nothing here touches the page or the network.

const SECONDS_MAX = 3600;
const ROWS_MAX = 200;
const EVENTS_MAX = 500;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];

export class Model {
  constructor() { this.reset(); }

  reset() {
    this.stats = null;
    this.loaded = false; // what is not known before is not nothing
    this.bounds = []; // upper bounds of the heat buckets, ms
    this.seconds = [];
    this.series = []; // URLs of every backend seen, in order of first sight (over a log, by URL): the identity of a line
    this.ids = []; // of the backends of the second heard last, in its order
    this.requests = []; // newest first
    this.decisions = []; // newest first
    this.decisionsEnabled = null;
    this.events = []; // oldest first
    this.lastSeq = 0;
  }

  seriesOf(url) {
    const at = this.series.indexOf(url);
    return at >= 0 ? at : this.series.push(url) - 1;
  }

  // True when another process answers now: its numbers start again.
  setStats(stats) {
    const other = this.stats && isAnother(this.stats, stats);
    if (other) this.reset();
    this.stats = stats;
    // A log names them as they come; by URL they have the same colours and places on every page.
    const urls = stats.backends.map((backend) => backend.url);
    for (const url of isLog(stats) ? urls.toSorted(byUrl) : urls) this.seriesOf(url);
    return Boolean(other);
  }

  // The backends' places in the figures, in the order in which they are shown: the configured one, over a log the lines'.
  order(stats) {
    const places = [...stats.backends.keys()];
    return isLog(stats) ? places.sort((a, b) => this.seriesOf(stats.backends[a].url) - this.seriesOf(stats.backends[b].url)) : places;
  }

  addHistory(history) {
    this.bounds = history.bounds_us.map((bound) => bound / 1000);
    for (const second of history.seconds) this.addSecond(second);
  }

  addSecond(second) {
    if (second.seq <= this.lastSeq) return false;
    this.lastSeq = second.seq;
    if (second.urls) this.ids = second.urls.map((url) => this.seriesOf(url));
    else if (this.ids.length !== second.backends.length && this.stats) this.ids = this.stats.backends.map((backend) => this.seriesOf(backend.url));
    second.ids = this.ids;
    this.seconds.push(second);
    if (this.seconds.length > SECONDS_MAX && this.stats?.live !== false) this.seconds.splice(0, this.seconds.length - SECONDS_MAX);
    return true;
  }

  addRequests(rows) { this.requests = newest(this.requests, rows, ROWS_MAX); }

  setDecisions(answer) {
    this.decisionsEnabled = answer.enabled;
    this.decisions = answer.decisions.slice(0, ROWS_MAX);
  }

  addEvents(events) {
    const seen = new Set(this.events.map((event) => event.seq));
    this.events.push(...events.filter((event) => !seen.has(event.seq)));
    this.events.sort((a, b) => a.seq - b.seq);
    if (this.events.length > EVENTS_MAX) this.events.splice(0, this.events.length - EVENTS_MAX);
  }

  first() { return this.seconds[0]?.t ?? null; }
  last() { return this.seconds.at(-1)?.t ?? null; }

  // Index of the first second later than t.
  after(t) {
    let [low, high] = [0, this.seconds.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.seconds[middle].t <= t) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  at(t) { return this.seconds[Math.min(this.after(t + 500), this.seconds.length) - 1] ?? this.seconds[0] ?? null; }

  // The seconds in (t0, t1] in at most `most` bins of a round number of seconds each.
  frame(t0, t1, most) {
    const span = Math.max(1, Math.round((t1 - t0) / 1000));
    const step = STEPS_S.find((seconds) => span / seconds <= most) ?? STEPS_S.at(-1);
    const origin = this.first() ?? t1;
    const slot = (t) => Math.floor(Math.round((t - origin) / 1000) / step); // rounds away a late tick
    const [low, high] = [this.after(t0), this.after(t1)];
    const begin = slot(t0 + 1000);
    const n = Math.max(1, slot(t1) - begin + 1);
    const frame = emptyFrame(n, this.series.length, this.bounds.length);
    Object.assign(frame, { t0, t1, step, low, high, time: (bin) => origin + ((begin + bin) * step + (step - 1) / 2) * 1000 });
    for (let at = low; at < high; at++) {
      const bin = slot(this.seconds[at].t) - begin;
      if (bin >= 0 && bin < n) addToFrame(frame, this.seconds[at], bin);
    }
    finishFrame(frame);
    frame.events = this.events.filter((event) => event.t > t0 && event.t <= t1);
    return frame;
  }

  // Requests per second over everything kept, in `n` bins, and the most of any.
  overview(n) {
    const key = `${n}/${this.lastSeq}/${this.seconds.length}`;
    if (this.strip?.key === key) return this.strip;
    const [first, span] = [this.first() - 1000, Math.max(this.last() - this.first() + 1000, 1000)];
    const bins = Math.max(1, Math.min(n, Math.round(span / 2000)));
    const [sums, seconds] = [new Float64Array(bins), new Uint32Array(bins)];
    for (const second of this.seconds) {
      const bin = Math.min(bins - 1, Math.floor(((second.t - first - 1) / span) * bins));
      sums[bin] += second.requests;
      seconds[bin] += 1;
    }
    const rates = sums.map((value, bin) => value / Math.max(1, seconds[bin]));
    this.strip = { key, first, span, rates, top: rates.reduce((most, rate) => Math.max(most, rate), 1) };
    return this.strip;
  }

  // Counts per heat bucket over (t0, t1].
  heat(t0, t1) {
    const counts = new Float64Array(this.bounds.length);
    for (let at = this.after(t0), end = this.after(t1); at < end; at++) for (const [bucket, count] of this.seconds[at].heat) counts[bucket] += count;
    return counts;
  }

  // Between which two latencies a share `q` ends: the bounds of its bucket, and never above the longest of all. A bucket
  // is too wide for anything between them to be more than a guess. Null without any.
  between(counts, q) {
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (!total) return null;
    let left = q * total;
    let bucket = counts.findLastIndex((count) => count > 0);
    for (let at = 0; at < bucket; at++) {
      if (left <= counts[at] && counts[at] > 0) bucket = at;
      left -= counts[at];
    }
    return this.edges(bucket);
  }

  edges(bucket) {
    const bottom = bucket ? this.bounds[bucket - 1] : 0;
    const top = this.bounds[bucket];
    const longest = this.stats?.max_ms ?? 0; // forgets backends that were taken away
    if (bucket === this.bounds.length - 1) return [bottom, Math.max(top, longest)]; // this one has no upper bound
    return [bottom, longest > bottom ? Math.min(top, longest) : top];
  }

  // The same of a whole frame; both ends are the exact value where the frame is all there ever was.
  percentile(frame, stats, q) {
    const found = this.between(frame.counts, q);
    const exact = this.isWhole(frame, stats) ? stats[`p${q * 100}_ms`] : null;
    if (!found || exact === null || exact === undefined) return found;
    // Figures are up to a second newer than the last of the seconds: where the two differ, the seconds are drawn.
    return exact >= found[0] * 0.97 && exact <= found[1] * 1.03 ? [exact, exact] : found;
  }

  isWhole(frame, stats) {
    if (frame.low > 0 || frame.high <= frame.low || this.first() - stats.started > WHOLE_MS) return false;
    if (stats.live === false) return frame.high === this.seconds.length;
    return Math.abs(this.seconds[frame.high - 1].t - stats.t) < WHOLE_MS;
  }
}

// A log shows itself as a proxy that listens nowhere.
export const isLog = (stats) => stats.live === false || (stats.listen ?? null) === null;

// Ports and addresses by their numbers.
const byUrl = (a, b) => a.localeCompare(b, 'en', { numeric: true });

// So far from the start or the end, a window still begins or ends with it.
const WHOLE_MS = 2000;

// The start may be worked out anew each time, from a clock that is corrected meanwhile.
const START_MS = 3000;
export const isAnother = (stats, later) => Math.abs(stats.started - later.started) > START_MS || later.requests < stats.requests;

function newest(rows, more, most) {
  const seen = new Set(rows.map((row) => row.seq));
  return [...more.filter((row) => !seen.has(row.seq)), ...rows].sort((a, b) => b.seq - a.seq).slice(0, most);
}

const SUMS = ['requests', 'errors', 'retries', 'ejections'];
const MEANS = ['p50_ms', 'p95_ms', 'p99_ms', 'mean_ms', 'overhead_us'];
const OF_BACKEND = ['p50_ms', 'p95_ms', 'mean_ms', 'score'];

// Sums by name, and the means of `names` with their weights beside them. An hour of 64 backends goes through here every
// second, so arrays are looked up once, not by name for every number.
function averages(holder, names, n) {
  holder.parts = names.map((name) => {
    holder[name] = new Float64Array(n);
    return { name, values: holder[name], weights: new Float64Array(n) };
  });
  return holder;
}

function emptyFrame(n, series, buckets) {
  const frame = { n, buckets, seconds: new Uint32Array(n), in_flight: new Float64Array(n), heat: new Float64Array(n * buckets), counts: new Float64Array(buckets), heatMax: 0 };
  for (const name of SUMS) frame[name] = new Float64Array(n);
  averages(frame, MEANS, n);
  frame.series = Array.from({ length: series }, () => averages({ requests: new Float64Array(n), errors: new Float64Array(n), total: 0, failed: 0, seen: false }, OF_BACKEND, n));
  return frame;
}

function addAverages(parts, from, bin, weight) {
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at];
    const value = from[part.name];
    if (value === null || value === undefined) continue;
    part.values[bin] += value * weight;
    part.weights[bin] += weight;
  }
}

function addToFrame(frame, second, bin) {
  frame.seconds[bin] += 1;
  frame.requests[bin] += second.requests;
  frame.errors[bin] += second.errors;
  frame.retries[bin] += second.retries;
  frame.ejections[bin] += second.ejections;
  frame.in_flight[bin] = Math.max(frame.in_flight[bin], second.in_flight);
  addAverages(frame.parts, second, bin, Math.max(second.requests, 1));
  for (const [bucket, count] of second.heat) {
    frame.heat[bin * frame.buckets + bucket] += count;
    frame.counts[bucket] += count;
  }
  const { backends, ids } = second;
  for (let at = 0; at < backends.length; at++) {
    const one = frame.series[ids[at]];
    if (!one) continue;
    const backend = backends[at];
    one.seen = true;
    one.requests[bin] += backend.requests;
    one.errors[bin] += backend.errors;
    one.total += backend.requests;
    one.failed += backend.errors;
    addAverages(one.parts, backend, bin, Math.max(backend.requests, 1));
  }
}

// Sums to means, weighted by requests; NaN where there was nothing to average.
function finishFrame(frame) {
  for (const holder of [frame, ...frame.series]) {
    for (const { values, weights } of holder.parts) for (let bin = 0; bin < frame.n; bin++) values[bin] /= weights[bin];
  }
  for (const count of frame.heat) if (count > frame.heatMax) frame.heatMax = count;
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  frame.total = Object.fromEntries(SUMS.map((name) => [name, sum(frame[name])]));
  frame.total.seconds = sum(frame.seconds);
}
