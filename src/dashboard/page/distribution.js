// How latencies are distributed: the heatmap over time, and the percentile curve of the window against the one before.

import { colours, colour, dash } from './palette.js';
import { logarithmic, yAxis, timeAxis, binEdges, eventMarks, nothing, line } from './axes.js';
import { number, count, percent, ms, axisMs, clock } from './format.js';
import { Figure, TimeFigure } from './figure.js';

// First and last bucket with anything in it, one more on either side.
function used(frame, bounds) {
  let [low, high] = [bounds.length, -1];
  for (let at = 0; at < frame.heat.length; at++) {
    if (!frame.heat[at]) continue;
    low = Math.min(low, at % frame.buckets);
    high = Math.max(high, at % frame.buckets);
  }
  return high < 0 ? null : [Math.max(low - 1, 0), Math.min(high + 1, bounds.length - 1)];
}
const bottomOf = (bounds, bucket) => (bucket ? bounds[bucket - 1] : bounds[0] / 2);
const rangeOf = (bounds, bucket) => `${bucket ? ms(bounds[bucket - 1]) : '0'} – ${ms(bounds[bucket])}`;

export function heatChart(app) {
  return new TimeFigure(app, {
    id: 'heat', title: 'Latency heatmap', note: 'the stronger the colour, the more requests', height: 190,
    draw(ctx, area) {
      const { frame, model: { bounds } } = app;
      const span = used(frame, bounds);
      if (!span) { timeAxis(ctx, area, frame); nothing(ctx, area, 'Nothing measured in this window'); return; }
      const scale = logarithmic(area, bottomOf(bounds, span[0]), bounds[span[1]]);
      yAxis(ctx, area, scale, axisMs);
      const ramp = colours().heat;
      const most = Math.log1p(frame.heatMax);
      for (let bucket = span[0]; bucket <= span[1]; bucket++) {
        const top = Math.round(scale.y(bounds[bucket]));
        const tall = Math.round(scale.y(bottomOf(bounds, bucket))) - top;
        for (let bin = 0; bin < frame.n; bin++) {
          const many = frame.heat[bin * frame.buckets + bucket];
          if (!many) continue;
          const [left, right] = binEdges(area, frame, bin);
          ctx.fillStyle = ramp[Math.round(40 + (215 * Math.log1p(many)) / most)];
          ctx.fillRect(left, top, right - left, tall);
        }
      }
      eventMarks(ctx, area, frame);
      timeAxis(ctx, area, frame);
    },
    summary() {
      const { model, frame } = app;
      const heat = frame.counts;
      const total = heat.reduce((sum, many) => sum + many, 0);
      if (!total) return 'Nothing measured in this window.';
      const peak = heat.indexOf(Math.max(...heat));
      return `Most requests (${percent(heat[peak] / total)}) took ${rangeOf(model.bounds, peak)}; half were under ${ms(model.quantile(heat, 0.5))}, one in a hundred over ${ms(model.quantile(heat, 0.99))}.`;
    },
    table() {
      const { model, frame } = app;
      const heat = frame.counts;
      const total = heat.reduce((sum, many) => sum + many, 0);
      let sum = 0;
      const rows = [...heat.keys()].filter((bucket) => heat[bucket]).map((bucket) => { sum += heat[bucket]; return [rangeOf(model.bounds, bucket), count(heat[bucket]), percent(heat[bucket] / total), percent(sum / total)]; });
      return { headings: [['Latency', true], ['Requests'], ['Share'], ['Up to here']], rows };
    },
    tip(_, bin) {
      const { frame, model } = app;
      const heat = frame.heat.subarray(bin * frame.buckets, (bin + 1) * frame.buckets);
      const total = heat.reduce((sum, many) => sum + many, 0);
      return total ? [['requests', count(total)], ...[['p50', 0.5], ['p95', 0.95], ['p99', 0.99]].map(([name, q]) => [name, ms(model.quantile(heat, q))])] : [];
    },
  });
}

// The axis of nines: 0 %, 50 %, 90 %, 99 %, 99.9 % … at even distances of a factor of ten.
const NINES = [[0, '0'], [0.5, '50'], [0.9, '90'], [0.99, '99'], [0.999, '99.9'], [0.9999, '99.99'], [0.99999, '99.999']];
const POINTS = 160;

export function curveChart(app) {
  const windows = () => {
    const { frame, model } = app;
    frame.before ??= model.heat(2 * frame.t0 - frame.t1, frame.t0);
    return [frame.counts, frame.before];
  };
  const total = (heat) => heat.reduce((sum, many) => sum + many, 0);
  return new Figure(app, {
    id: 'percentiles', title: 'Percentile curve', note: 'this window, dashed: the one before', height: 240,
    draw(ctx, area) {
      const { model } = app;
      const [now, before] = windows();
      if (!total(now)) { nothing(ctx, area, 'Nothing measured in this window'); return; }
      const nines = Math.max(2, Math.min(5, Math.log10(total(now))));
      const x = (q) => area.x + (area.w * Math.min(-Math.log10(Math.max(1 - q, 1e-9)), nines)) / nines;
      const ends = [now, before].filter((heat) => total(heat)).flatMap((heat) => [model.quantile(heat, 0.001), model.quantile(heat, 1 - 10 ** -nines)]);
      const scale = logarithmic(area, Math.min(...ends), Math.max(...ends));
      yAxis(ctx, area, scale, axisMs);
      ctx.textBaseline = 'alphabetic';
      ctx.textAlign = 'center';
      let end = -Infinity; // of the last label: narrow charts leave some out
      for (const [q, name] of NINES.filter(([at]) => -Math.log10(1 - at) <= nines)) {
        ctx.strokeStyle = colours().grid;
        line(ctx, Math.round(x(q)) + 0.5, area.y, Math.round(x(q)) + 0.5, area.y + area.h);
        ctx.fillStyle = colours().soft;
        const half = ctx.measureText(`${name} %`).width / 2;
        const at = Math.min(x(q), area.width - half);
        if (at - half < end + 6) continue;
        ctx.fillText(`${name} %`, at, area.height - 3);
        end = at + half;
      }
      for (const [heat, look] of [[before, 5], [now, 0]]) {
        if (!total(heat)) continue;
        ctx.strokeStyle = colour(look);
        ctx.lineWidth = look ? 1.5 : 2.2;
        ctx.setLineDash(look ? dash(4) : []);
        ctx.beginPath();
        for (let at = 0; at <= POINTS; at++) {
          const q = 1 - 10 ** ((-nines * at) / POINTS);
          ctx.lineTo(x(q), scale.y(model.quantile(heat, Math.max(q, 1e-6))));
        }
        ctx.stroke();
      }
      ctx.setLineDash([]);
    },
    summary() {
      const [now, before] = windows();
      if (!total(now)) return 'Nothing measured in this window.';
      const say = (q) => ms(app.model.quantile(now, q));
      const [a, b] = [app.model.quantile(now, 0.95), app.model.quantile(before, 0.95)];
      const change = b === null ? '' : Math.abs(a / b - 1) < 0.03 ? '; p95 as in the window before' : `; p95 ${a > b ? 'up' : 'down'} ${percent(Math.abs(a / b - 1))} on the window before`;
      return `p50 ${say(0.5)}, p90 ${say(0.9)}, p95 ${say(0.95)}, p99 ${say(0.99)}${change}. Read from histogram buckets.`;
    },
    table() {
      const [now, before] = windows();
      const rows = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999].map((q) => [`p${number(q * 100)}`, ms(app.model.quantile(now, q)), ms(app.model.quantile(before, q))]);
      return { headings: [['Percentile', true], ['This window'], ['The one before']], rows };
    },
  });
}

export const spanInWords = (frame) => `${clock(frame.t0)} – ${clock(frame.t1)}${frame.step > 1 ? `, one point is ${frame.step} s` : ''}`;
