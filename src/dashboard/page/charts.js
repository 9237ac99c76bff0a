// The charts over time: who got how much, how fast it was, what the policy made of it, and what went wrong.

import { h, text } from './dom.js';
import { colours, texture, patch } from './palette.js';
import { linear, logarithmic, yAxis, timeAxis, binEdges, seriesLine, eventMarks, nothing, timeX, line } from './axes.js';
import { number, compact, count, many, percent, ms, axisMs, clock } from './format.js';
import { isLog } from './model.js';
import { view, set } from './view.js';
import { TimeFigure } from './figure.js';

// Bands of more backends than this are soup.
const BANDS_MAX = 8;
const ROWS_MAX = 120;

// Shown: seen in this window and not switched off in the legend; [series, its numbers].
export const visible = (app) => app.frame.series.map((one, at) => [at, one]).filter(([at, one]) => one.seen && !view.hide.includes(app.names[at]));

// The table twin of anything with a value per backend and bin; newest first.
function seriesTable(app, unit, value) {
  const shown = visible(app);
  const rows = [];
  for (let bin = app.frame.n - 1; bin >= 0 && rows.length < ROWS_MAX; bin--) {
    if (app.frame.seconds[bin]) rows.push([clock(app.frame.time(bin)), ...shown.map(([at, one]) => value(one, bin, at))]);
  }
  return { headings: [['Time', true], ...shown.map(([at]) => [`${app.names[at]}${unit}`])], rows };
}

const largest = (shown, name) => shown.reduce((top, [, one]) => one[name].reduce((most, value) => (value > most ? value : most), top), 0);
const smallest = (shown, name) => shown.reduce((low, [, one]) => one[name].reduce((least, value) => (value > 0 && value < least ? value : least), low), Infinity);
const scaleFor = (area, shown, top, bottom) => {
  const high = Math.max(...top.map((name) => largest(shown, name)));
  return view.log ? logarithmic(area, smallest(shown, bottom), high) : linear(area, high * 1.04 || 1);
};
const measured = (shown, name) => shown.some(([, one]) => one[name].some((value) => !Number.isNaN(value)));

function shareChart(app) {
  const rate = h('button', { type: 'button', class: 'quiet', onclick: () => set({ rate: !view.rate }) }, 'As req/s');
  return new TimeFigure(app, {
    id: 'share', title: 'Requests per backend', height: 170, tools: [rate],
    draw(ctx, area) {
      const { frame } = app;
      const shown = visible(app);
      const sums = new Float64Array(frame.n);
      for (const [, one] of shown) one.requests.forEach((value, bin) => { sums[bin] += value; });
      text(rate, view.rate ? 'As shares' : 'As req/s');
      const perSecond = (bin) => sums[bin] / Math.max(1, frame.seconds[bin]);
      const top = view.rate ? sums.reduce((most, _, bin) => Math.max(most, perSecond(bin)), 0) || 1 : 1;
      const scale = view.rate ? linear(area, top * 1.02) : linear(area, 1);
      yAxis(ctx, area, scale, view.rate ? (value) => `${compact(value)}/s` : (value) => `${Math.round(value * 100)} %`);
      const base = new Float64Array(frame.n);
      for (const [at, one] of shown) {
        ctx.fillStyle = texture(ctx, at);
        ctx.beginPath();
        for (let bin = 0; bin < frame.n; bin++) {
          if (!one.requests[bin]) continue;
          const part = (one.requests[bin] / sums[bin]) * (view.rate ? perSecond(bin) : 1);
          const [left, right] = binEdges(area, frame, bin);
          const [low, high] = [scale.y(base[bin]), scale.y(base[bin] + part)];
          ctx.rect(left, high, right - left, low - high);
          base[bin] += part;
        }
        ctx.fill();
      }
      if (!sums.some(Boolean)) nothing(ctx, area, 'No requests in this window');
      label(ctx, area, app, shown, sums, scale, view.rate ? perSecond : () => 1);
      eventMarks(ctx, area, frame);
      timeAxis(ctx, area, frame);
    },
    summary() {
      const shown = visible(app).filter(([, one]) => one.total).sort((a, b) => b[1].total - a[1].total);
      const sum = shown.reduce((total, [, one]) => total + one.total, 0);
      if (!sum) return 'No requests in this window.';
      const [first, last] = [shown[0], shown.at(-1)];
      return `${many(sum, 'request')}; ${app.names[first[0]]} took ${percent(first[1].total / sum)}${shown.length > 1 ? `, ${app.names[last[0]]} the fewest with ${percent(last[1].total / sum)}` : ''}.`;
    },
    table: () => seriesTable(app, ' req', (one, bin) => count(one.requests[bin])),
    tip(_, bin) {
      const shown = visible(app);
      const sum = shown.reduce((total, [, one]) => total + one.requests[bin], 0);
      return sum ? shown.map(([at, one]) => [app.names[at], `${percent(one.requests[bin] / sum)} · ${number(one.requests[bin] / Math.max(1, app.frame.seconds[bin]))}/s`, at]) : [];
    },
  });
}

// Names where a band is high enough at its end, so that the key is not colour alone.
function label(ctx, area, { names, frame }, shown, sums, scale, whole) {
  let bin = frame.n - 1;
  while (bin >= 0 && !sums[bin]) bin--;
  if (bin < 0) return;
  const theme = colours();
  ctx.font = '600 11px system-ui, sans-serif';
  ctx.textAlign = 'right';
  ctx.textBaseline = 'middle';
  let base = 0;
  for (const [at, one] of shown) {
    const part = (one.requests[bin] / sums[bin]) * whole(bin);
    const [low, high] = [scale.y(base), scale.y(base + part)];
    base += part;
    if (low - high < 18) continue;
    const words = names[at];
    const width = ctx.measureText(words).width;
    const x = binEdges(area, frame, bin)[1] - 8;
    ctx.fillStyle = theme.card;
    ctx.globalAlpha = 0.88;
    ctx.beginPath();
    ctx.roundRect(x - width - 5, (low + high) / 2 - 8, width + 10, 16, 4);
    ctx.fill();
    ctx.globalAlpha = 1;
    ctx.fillStyle = theme.ink;
    ctx.fillText(words, x, (low + high) / 2 + 0.5);
  }
}

function latencyChart(app) {
  return new TimeFigure(app, {
    id: 'latency', title: 'Latency per backend', note: 'line p50, band up to p95', height: 190,
    draw(ctx, area) {
      const shown = visible(app);
      const { frame } = app;
      if (!measured(shown, 'p50_ms')) nothing(ctx, area, 'Nothing measured in this window');
      const scale = scaleFor(area, shown, ['p95_ms', 'p50_ms'], 'p50_ms');
      yAxis(ctx, area, scale, axisMs);
      if (shown.length <= BANDS_MAX) for (const [at, one] of shown) band(ctx, area, frame, one, at, scale.y);
      for (const [at, one] of shown) seriesLine(ctx, area, frame, one.p50_ms, at, scale.y);
      eventMarks(ctx, area, frame);
      timeAxis(ctx, area, frame);
    },
    summary() {
      const all = visible(app).map(([at, one]) => [app.names[at], weighted(one, 'p50_ms'), weighted(one, 'p95_ms')]).filter(([, p50]) => p50 !== null).sort((a, b) => a[1] - b[1]);
      if (!all.length) return 'Nothing measured in this window.';
      const say = ([name, p50, p95]) => `${name} (p50 ${ms(p50)}, p95 ${ms(p95)})`;
      return `Fastest: ${say(all[0])}${all.length > 1 ? `; slowest: ${say(all.at(-1))}` : ''}.${visible(app).length > BANDS_MAX ? ' Bands appear with eight backends or fewer.' : ''}`;
    },
    table: () => seriesTable(app, ' p50 / p95 ms', (one, bin) => `${number(one.p50_ms[bin])} / ${number(one.p95_ms[bin])}`),
    tip: (_, bin) => visible(app).filter(([, one]) => !Number.isNaN(one.p50_ms[bin])).map(([at, one]) => [app.names[at], `${ms(one.p50_ms[bin])} · p95 ${ms(one.p95_ms[bin])}`, at]),
  });
}

function weighted(one, name) {
  let [sum, weight] = [0, 0];
  one[name].forEach((value, bin) => { if (!Number.isNaN(value)) { sum += value * Math.max(1, one.requests[bin]); weight += Math.max(1, one.requests[bin]); } });
  return weight ? sum / weight : null;
}

function band(ctx, area, frame, one, at, y) {
  const bridge = Math.max(3, Math.ceil(12 / frame.step));
  ctx.fillStyle = colours().series[at % 8];
  ctx.globalAlpha = 0.13;
  const flush = (bins) => {
    if (bins.length < 2) return;
    ctx.beginPath();
    const x = (bin) => Math.min(timeX(area, frame, frame.time(bin)), area.x + area.w);
    for (const bin of bins) ctx.lineTo(x(bin), y(one.p95_ms[bin]));
    for (const bin of bins.toReversed()) ctx.lineTo(x(bin), y(one.p50_ms[bin]));
    ctx.fill();
  };
  let run = [];
  for (let bin = 0; bin < frame.n; bin++) {
    if (Number.isNaN(one.p50_ms[bin]) || Number.isNaN(one.p95_ms[bin])) continue;
    if (run.length && bin - run.at(-1) > bridge) { flush(run); run = []; }
    run.push(bin);
  }
  flush(run);
  ctx.globalAlpha = 1;
}

const noScore = (app) => (isLog(app.model.stats) ? 'A log holds no scores' : app.frame.total.requests ? `${app.shown.stats.routing} keeps no score` : 'No score in this window');

function scoreChart(app) {
  return new TimeFigure(app, {
    id: 'score', title: 'Score the policy sees', note: 'lowest is chosen', height: 150,
    draw(ctx, area) {
      const shown = visible(app);
      if (!measured(shown, 'score')) nothing(ctx, area, noScore(app));
      const scale = scaleFor(area, shown, ['score'], 'score');
      if (measured(shown, 'score')) yAxis(ctx, area, scale, compact);
      for (const [at, one] of shown) seriesLine(ctx, area, app.frame, one.score, at, scale.y);
      eventMarks(ctx, area, app.frame);
      timeAxis(ctx, area, app.frame);
    },
    summary() {
      const all = visible(app).map(([at, one]) => [app.names[at], one.score.findLast((value) => !Number.isNaN(value))]).filter(([, score]) => score !== undefined).sort((a, b) => a[1] - b[1]);
      return all.length ? `At the end: ${all.slice(0, 4).map(([name, score]) => `${name} ${number(score)}`).join(', ')}${all.length > 4 ? `, … ${all.at(-1)[0]} ${number(all.at(-1)[1])}` : ''}.` : `${noScore(app)}.`;
    },
    table: () => seriesTable(app, '', (one, bin) => number(one.score[bin])),
    tip: (_, bin) => visible(app).filter(([, one]) => !Number.isNaN(one.score[bin])).map(([at, one]) => [app.names[at], number(one.score[bin]), at]),
  });
}

const TROUBLES = [['errors', 'errors', 3, 'error'], ['retries', 'retries', 1, 'retry'], ['ejections', 'ejections', 4, 'ejection']];
function troubleChart(app) {
  return new TimeFigure(app, {
    id: 'trouble', title: 'Errors, retries, ejections', note: 'per bin', height: 110,
    tools: TROUBLES.map(([, word, look]) => h('span', { class: 'key' }, patch(look), word)),
    draw(ctx, area) {
      const { frame } = app;
      const sums = new Float64Array(frame.n);
      for (const [name] of TROUBLES) frame[name].forEach((value, bin) => { sums[bin] += value; });
      const scale = linear(area, Math.max(4, ...sums));
      yAxis(ctx, area, scale, compact);
      const base = new Float64Array(frame.n);
      for (const [name, , look] of TROUBLES) {
        ctx.fillStyle = texture(ctx, look);
        ctx.beginPath();
        for (let bin = 0; bin < frame.n; bin++) {
          if (!frame[name][bin]) continue;
          const [left, right] = binEdges(area, frame, bin);
          const [low, high] = [scale.y(base[bin]), scale.y(base[bin] + frame[name][bin])];
          ctx.rect(left, high, Math.max(right - left - (right - left > 3 ? 1 : 0), 2), low - high);
          base[bin] += frame[name][bin];
        }
        ctx.fill();
      }
      if (!sums.some(Boolean)) nothing(ctx, area, 'None. Quiet is good.');
      eventMarks(ctx, area, frame);
      timeAxis(ctx, area, frame);
    },
    summary: () => `${TROUBLES.map(([name, word, , one]) => many(app.frame.total[name], one, word)).join(', ')} in ${many(app.frame.total.requests, 'request')}.`,
    table() {
      const rows = [];
      for (let bin = app.frame.n - 1; bin >= 0 && rows.length < ROWS_MAX; bin--) {
        if (TROUBLES.some(([name]) => app.frame[name][bin])) rows.push([clock(app.frame.time(bin)), ...TROUBLES.map(([name]) => count(app.frame[name][bin]))]);
      }
      return { headings: [['Time', true], ...TROUBLES.map(([, word]) => [word])], rows };
    },
    tip: (_, bin) => TROUBLES.map(([name, word, look]) => [word, count(app.frame[name][bin]), look]),
  });
}

export function timeCharts(app) {
  return [shareChart(app), latencyChart(app), scoreChart(app), troubleChart(app)];
}

// The whole history in a strip, with the window on it.
export function drawOverview(app, canvas) {
  const { model, frame } = app;
  const [width, height, scale] = [canvas.clientWidth, 40, devicePixelRatio || 1];
  if (!width || !model.seconds.length) return;
  canvas.width = Math.round(width * scale);
  canvas.height = height * scale;
  const ctx = canvas.getContext('2d');
  ctx.scale(scale, scale);
  const theme = colours();
  const { first, span, rates, top } = model.overview(Math.round(width / 2));
  const bars = () => {
    ctx.beginPath();
    rates.forEach((rate, bin) => {
      const left = Math.round((bin / rates.length) * width);
      const tall = (rate / top) * (height - 4);
      ctx.rect(left, height - tall, Math.round(((bin + 1) / rates.length) * width) - left, tall);
    });
    ctx.fill();
  };
  ctx.fillStyle = theme.line;
  bars();
  const place = (t) => Math.min(Math.max(((t - first) / span) * width, 0), width);
  const [from, to] = [place(frame.t0), place(frame.t1)];
  ctx.save();
  ctx.beginPath();
  ctx.rect(from, 0, to - from, height);
  ctx.clip();
  ctx.fillStyle = theme.accent;
  ctx.globalAlpha = 0.55;
  bars();
  ctx.restore();
  ctx.strokeStyle = theme.accent;
  ctx.strokeRect(Math.max(from, 0.5), 0.5, Math.max(Math.min(to, width - 0.5) - Math.max(from, 0.5), 2), height - 1);
  ctx.strokeStyle = theme.soft;
  for (const event of model.events) if (event.t >= first) line(ctx, place(event.t), 0, place(event.t), 5);
}
