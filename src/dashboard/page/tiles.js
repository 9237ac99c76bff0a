// The big numbers: of the second looked at, or of the whole window when that is a past one. Each with its last minute.

import { h, $, text } from './dom.js';
import { colours } from './palette.js';
import { number, compact, count, many, percent, latency, ms, duration, host } from './format.js';
import { isLog } from './model.js';
import { percentileOf } from './distribution.js';
import { view } from './view.js';

const SPARK_S = 60;
const sum = (seconds, name) => seconds.reduce((total, second) => total + (second[name] ?? 0), 0);

// The seconds the numbers are about.
function subject(app) {
  const { model, frame } = app;
  if (view.zoom || (app.shown.stats.live === false && view.at === null)) return model.seconds.slice(frame.low, frame.high);
  const second = view.at === null ? model.seconds.at(-1) : model.at(view.at);
  return second ? [second] : [];
}

// Of several seconds there are only the heat's buckets: what it is at most, and at least.
function quantile(app, seconds, q) {
  const name = `p${q * 100}_ms`;
  const since = `${ms(app.shown.stats[name])} since start`;
  if (seconds.length < 2) return [...latency(seconds[0]?.[name]), since];
  const found = percentileOf(app, q);
  if (!found || found[0] === found[1]) return [...latency(found?.[1]), since];
  const [most, unit] = latency(found[1]);
  return [`≤ ${most}`, unit, `${found[0] ? `over ${ms(found[0])}; ` : ''}${since}`];
}

const mean = (seconds, name) => {
  const with_ = seconds.filter((second) => second[name] !== null && second[name] !== undefined);
  return with_.length ? sum(with_, name) / with_.length : null;
};

// id, title, value(app, seconds) -> [big, unit, below], spark(second)
const TILES = [
  ['rate', 'Requests per second', (app, s) => [compact(sum(s, 'requests') / Math.max(1, s.length)), '/s', `${count(app.shown.stats.requests)} in all`], (second) => second.requests],
  ['p50', 'p50', (app, s) => quantile(app, s, 0.5), (second) => second.p50_ms],
  ['p95', 'p95', (app, s) => quantile(app, s, 0.95), (second) => second.p95_ms],
  ['p99', 'p99', (app, s) => quantile(app, s, 0.99), (second) => second.p99_ms],
  ['recent', 'Average latency of the last 200', (app) => [...latency(app.shown.stats.recent_mean_ms), `${ms(app.shown.stats.mean_ms)} since start`], (second) => second.mean_ms],
  ['errors', 'Errors per second', (app, s) => [number(sum(s, 'errors') / Math.max(1, s.length)), '/s', `${many(app.shown.stats.responses?.[5], 'answer')} of 5xx in all`], (second) => second.errors],
  ['inflight', 'In flight', (app, s) => (app.shown.stats.live === false ? ['–', '', 'not known'] : [s.length === 1 ? count(s[0].in_flight) : number(mean(s, 'in_flight')), '', many(app.shown.stats.clients_active, 'client connection')]), (second) => second.in_flight],
  ['reuse', 'Connection reuse', (app) => { const { reused, dispatched } = app.shown.stats; return [dispatched ? percent(reused / dispatched).replace(' %', '') : '–', dispatched ? '%' : '', dispatched ? `${count(dispatched - reused)} dialled since start` : 'not known']; }, null],
  ['retries', 'Retries', (app, s) => (s.length > 1 ? [count(sum(s, 'retries')), '', `${count(app.shown.stats.retries)} in all`] : [count(app.shown.stats.retries), '', many(app.shown.stats.ejections, 'ejection')]), (second) => second.retries],
  ['overhead', "Proxy's own time", (app, s) => { const own = app.shown.stats.overhead_us; const now = mean(s, 'overhead_us') ?? own?.mean; return [number(now), now === null || now === undefined ? '' : 'µs', own ? `${number(own.work)} of work, waits p99 ${number(own.wait_p99)} µs` : 'not known']; }, (second) => second.overhead_us],
];

export class Tiles {
  constructor(app) {
    this.app = app;
    this.tiles = TILES.map(([id, title, value, spark]) => {
      const [big, unit, below] = [h('span'), h('small'), h('p', { class: 'sub' })];
      const canvas = spark ? h('canvas', { 'aria-hidden': 'true' }) : null;
      const element = h('div', { class: 'card tile', id: `tile-${id}` }, h('h3', {}, title), h('p', { class: 'big' }, big, unit), below, canvas);
      return { element, big, unit, below, canvas, value, spark };
    });
    $('tiles').append(...this.tiles.map((tile) => tile.element));
  }

  update() {
    const { app } = this;
    const seconds = subject(app);
    const whole = seconds.length > 1;
    text($('now-title'), whole ? 'This window' : view.at === null ? 'Now' : 'At that moment');
    const busy = app.shown.stats.uptime_s < 1 ? null : app.shown.stats.busy_share; // no share before there is a second
    text($('now-note'), whole ? `means over ${duration(seconds.length)}` : isLog(app.shown.stats) ? '' : `the loop is busy ${percent(busy)} of the time`);
    const end = view.zoom ? app.frame.high : app.model.after((view.at ?? Infinity) + 500);
    const last = app.model.seconds.slice(Math.max(0, end - (whole ? seconds.length : SPARK_S)), end);
    for (const tile of this.tiles) {
      const [big, unit, below] = tile.value(app, seconds);
      text(tile.big, big);
      text(tile.unit, unit);
      text(tile.below, below);
      if (tile.canvas) sparkline(tile.canvas, thin(last.map(tile.spark)));
    }
    text($('sentence'), app.shown.stats.sentence ?? inWords(app));
  }
}

// Of proxies that do not explain themselves: what became of the last request.
function inWords(app) {
  const [last] = app.shown.requests;
  const url = app.shown.stats.backends[last?.backend]?.url;
  if (!url) return app.model.seconds.length || isLog(app.shown.stats) ? 'none yet' : 'waiting for figures';
  const average = last.averages?.[last.backend];
  return `Chose ${host(url)} for ${[last.method, last.path].filter(Boolean).join(' ') || 'a request'}: ${last.status || 'no answer'} in ${ms(last.latency_ms)}${average ? `; its averages are now ${ms(average.sma_ms)} (SMA) and ${ms(average.ewma_ms)} (EWMA)` : ''}.`;
}

// At most so many points as can be told apart: means of neighbours.
function thin(values) {
  const group = Math.ceil(values.length / SPARK_S);
  if (group < 2) return values;
  return Array.from({ length: Math.ceil(values.length / group) }, (_, at) => {
    const some = values.slice(at * group, (at + 1) * group).filter((value) => value !== null && value !== undefined);
    return some.length ? some.reduce((total, value) => total + value, 0) / some.length : null;
  });
}

function sparkline(canvas, values) {
  const [width, height, scale] = [canvas.clientWidth, 22, devicePixelRatio || 1];
  if (!width) return;
  canvas.width = Math.round(width * scale);
  canvas.height = height * scale;
  const ctx = canvas.getContext('2d');
  ctx.scale(scale, scale);
  const numbers = values.map((value) => (value === null || value === undefined ? NaN : value));
  const top = numbers.reduce((most, value) => (value > most ? value : most), 0) || 1;
  const x = (at) => (numbers.length < 2 ? width : (at / (numbers.length - 1)) * (width - 3));
  const y = (value) => height - 2 - (value / top) * (height - 4);
  ctx.strokeStyle = ctx.fillStyle = colours().accent;
  ctx.lineWidth = 1.4;
  ctx.lineJoin = 'round';
  ctx.beginPath();
  let end = null;
  numbers.forEach((value, at) => { if (!Number.isNaN(value)) { ctx.lineTo(x(at), y(value)); end = [x(at), y(value)]; } });
  ctx.stroke();
  if (!end) return;
  ctx.beginPath();
  ctx.arc(...end, 2.2, 0, 7);
  ctx.fill();
}
