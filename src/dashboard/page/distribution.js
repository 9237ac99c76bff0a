// How latencies are distributed: the heatmap over time, and the percentile curve of the window against the one before.

import { colours, colour, dash } from './palette.js';
import { logarithmic, yAxis, timeAxis, binEdges, eventMarks, nothing, line } from './axes.js';
import { number, count, percent, axisMs, clock, spread, spreadInWords } from './format.js';
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
// Of the window: between which two it lies.
export const percentileOf = (app, q) => app.model.percentile(app.frame, app.shown.stats, q);

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
      const share = heat[peak] / total;
      const most = `${share < 0.5 ? 'The fullest band' : 'Most requests'} (${percent(share)}) ${share < 0.5 ? 'is' : 'took'} ${spread(model.edges(peak))}`;
      return `${most}; p50 ${spreadInWords(percentileOf(app, 0.5))}, p99 ${spreadInWords(percentileOf(app, 0.99))}.`;
    },
    table() {
      const { model, frame } = app;
      const heat = frame.counts;
      const total = heat.reduce((sum, many) => sum + many, 0);
      let sum = 0;
      const rows = [...heat.keys()].filter((bucket) => heat[bucket]).map((bucket) => { sum += heat[bucket]; return [spread(model.edges(bucket)), count(heat[bucket]), percent(heat[bucket] / total), percent(sum / total)]; });
      return { headings: [['Latency', true], ['Requests'], ['Share'], ['Up to here']], rows };
    },
    tip(_, bin) {
      const { frame, model } = app;
      const heat = frame.heat.subarray(bin * frame.buckets, (bin + 1) * frame.buckets);
      const total = heat.reduce((sum, many) => sum + many, 0);
      return total ? [['requests', count(total)], ...[['p50', 0.5], ['p95', 0.95], ['p99', 0.99]].map(([name, q]) => [name, spread(model.between(heat, q))])] : [];
    },
  });
}

// The axis of nines: 0 %, 50 %, 90 %, 99 %, 99.9 % … at even distances of a factor of ten.
const NINES = [[0, '0'], [0.5, '50'], [0.9, '90'], [0.99, '99'], [0.999, '99.9'], [0.9999, '99.99'], [0.99999, '99.999']];

// Of each bucket: from which share of the requests to which, and between which two latencies.
function stepsOf(model, heat) {
  const total = heat.reduce((sum, many) => sum + many, 0);
  let sum = 0;
  return [...heat.keys()].filter((bucket) => heat[bucket]).map((bucket) => {
    const from = sum / total;
    sum += heat[bucket];
    return [from, sum / total, ...model.edges(bucket)];
  });
}

export function curveChart(app) {
  const windows = () => {
    const { frame, model } = app;
    frame.before ??= model.heat(2 * frame.t0 - frame.t1, frame.t0);
    return [frame.counts, frame.before];
  };
  const total = (heat) => heat.reduce((sum, many) => sum + many, 0);
  return new Figure(app, {
    id: 'percentiles', title: 'Percentile curve', note: 'line: at most, shade: at least, dots: exact; dashed: the window before', height: 240,
    draw(ctx, area) {
      const { model } = app;
      const [now, before] = windows();
      if (!total(now)) { nothing(ctx, area, 'Nothing measured in this window'); return; }
      const nines = Math.max(2, Math.min(5, Math.log10(total(now))));
      const x = (q) => area.x + (area.w * Math.min(-Math.log10(Math.max(1 - q, 1e-9)), nines)) / nines;
      const ends = [now, before].filter((heat) => total(heat)).flatMap((heat) => [model.between(heat, 0), model.between(heat, 1)]).map(([low, high]) => [low || high / 2, high]).flat();
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
        ctx.fillStyle = colour(look);
        const steps = stepsOf(model, heat);
        ctx.globalAlpha = 0.15;
        if (!look) for (const [from, to, low, high] of steps) ctx.fillRect(x(from), scale.y(high), x(to) - x(from), scale.y(low) - scale.y(high));
        ctx.globalAlpha = 1;
        ctx.beginPath();
        for (const [from, to, , high] of steps) { ctx.lineTo(x(from), scale.y(high)); ctx.lineTo(x(to), scale.y(high)); }
        ctx.stroke();
      }
      ctx.setLineDash([]);
      for (const q of [0.5, 0.95, 0.99]) {
        const [low, high] = percentileOf(app, q);
        if (low !== high || -Math.log10(1 - q) > nines) continue;
        ctx.fillStyle = colour(0);
        ctx.beginPath();
        ctx.arc(x(q), scale.y(high), 3.5, 0, 7);
        ctx.fill();
      }
    },
    summary() {
      const [now, before] = windows();
      if (!total(now)) return 'Nothing measured in this window.';
      const told = []; // neighbours between the same two are named together
      for (const q of [0.5, 0.9, 0.95, 0.99]) {
        const words = spreadInWords(percentileOf(app, q));
        if (told.at(-1)?.words === words) told.at(-1).names.push(`p${q * 100}`);
        else told.push({ words, names: [`p${q * 100}`] });
      }
      const [a, b] = [app.model.between(now, 0.95), app.model.between(before, 0.95)];
      const change = !b ? '' : a[1] === b[1] ? '; p95 in the same band as in the window before' : `; p95 ${a[1] > b[1] ? 'higher' : 'lower'} than in the window before`;
      return `${told.map(({ names, words }) => `${names.join(' and ')} ${words}`).join(', ')}${change}.`;
    },
    table() {
      const [, before] = windows();
      const rows = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999].map((q) => [`p${number(q * 100)}`, spread(percentileOf(app, q)), spread(app.model.between(before, q))]);
      return { headings: [['Percentile', true], ['This window'], ['The one before']], rows };
    },
  });
}

export const spanInWords = (frame) => `${clock(frame.t0)} – ${clock(frame.t1)}${frame.step > 1 ? `, one point is ${frame.step} s` : ''}`;
