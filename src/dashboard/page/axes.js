// Scales, axes and the marks every chart shares. All of it draws on a canvas context already scaled to CSS pixels.

import { colours, colour, dash, mark } from './palette.js';
import { clock, date } from './format.js';

const LEFT = 52;
const RIGHT = 12;
const TOP = 8;
const BOTTOM = 18;
const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

export function areaOf(width, height) {
  return { x: LEFT, y: TOP, w: Math.max(20, width - LEFT - RIGHT), h: height - TOP - BOTTOM, width, height };
}

export function linear(area, top, bottom = 0) {
  const nice = niceStep((top - bottom || 1) / 3);
  const high = bottom + Math.ceil((top - bottom || 1) / nice) * nice;
  const ticks = [];
  for (let value = bottom; value <= high + nice / 2; value += nice) ticks.push(value);
  return { y: (value) => area.y + area.h * (1 - (value - bottom) / (high - bottom)), ticks };
}

export function logarithmic(area, lowest, highest) {
  const high = highest > 0 && Number.isFinite(highest) ? highest : 1;
  const low = lowest > 0 && lowest <= high ? lowest : high / 10;
  const from = Math.floor(Math.log10(Math.max(low, 1e-6)) * 3) / 3;
  const to = Math.max(Math.ceil(Math.log10(Math.max(high, 1e-6)) * 3) / 3, from + 1 / 3);
  const ticks = [];
  for (let power = Math.floor(from); power <= Math.ceil(to); power++) {
    for (const digit of to - from > 3 ? [1] : to - from > 1.2 ? [1, 3] : [1, 2, 5]) {
      const at = Math.log10(digit) + power;
      if (at >= from - 1e-9 && at <= to + 1e-9) ticks.push(digit * 10 ** power);
    }
  }
  return { y: (value) => area.y + area.h * (1 - (Math.log10(Math.max(value, 10 ** from)) - from) / (to - from)), ticks };
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
}

export function yAxis(ctx, area, scale, format) {
  const theme = colours();
  ctx.font = FONT;
  ctx.textAlign = 'right';
  ctx.textBaseline = 'middle';
  ctx.lineWidth = 1;
  for (const tick of scale.ticks) {
    const y = Math.round(scale.y(tick)) + 0.5;
    ctx.strokeStyle = theme.grid;
    line(ctx, area.x, y, area.x + area.w, y);
    ctx.fillStyle = theme.soft;
    ctx.fillText(format(tick), area.x - 7, Math.max(y, 6));
  }
}

const TIME_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800];
export function timeAxis(ctx, area, frame) {
  const theme = colours();
  const span = (frame.t1 - frame.t0) / 1000;
  const step = TIME_STEPS_S.find((seconds) => span / seconds <= Math.max(2, area.w / 90)) ?? TIME_STEPS_S.at(-1);
  const shift = new Date(frame.t1).getTimezoneOffset() * 60000;
  ctx.font = FONT;
  ctx.textBaseline = 'alphabetic';
  ctx.fillStyle = theme.soft;
  ctx.strokeStyle = theme.line;
  ctx.lineWidth = 1;
  line(ctx, area.x, area.y + area.h + 0.5, area.x + area.w, area.y + area.h + 0.5);
  for (let t = Math.ceil((frame.t0 - shift) / step / 1000) * step * 1000 + shift; t <= frame.t1; t += step * 1000) {
    const x = Math.round(timeX(area, frame, t)) + 0.5;
    line(ctx, x, area.y + area.h, x, area.y + area.h + 4);
    const label = step >= 86400 ? date(t).slice(5) : step >= 60 ? clock(t).slice(0, 5) : clock(t);
    const half = ctx.measureText(label).width / 2;
    ctx.textAlign = 'center';
    if (x - half >= area.x - 30 && x + half <= area.width) ctx.fillText(label, x, area.height - 3);
  }
}

export const timeX = (area, frame, t) => area.x + (area.w * (t - frame.t0)) / (frame.t1 - frame.t0);
export const xTime = (area, frame, x) => frame.t0 + ((x - area.x) / area.w) * (frame.t1 - frame.t0);
// Left and right edge of a bin in whole pixels, so that neighbours leave no seam.
export function binEdges(area, frame, bin) {
  const half = frame.step * 500;
  const centre = frame.time(bin);
  const clip = (x) => Math.min(Math.max(x, area.x), area.x + area.w);
  return [clip(Math.round(timeX(area, frame, centre - half))), clip(Math.round(timeX(area, frame, centre + half)))];
}

export function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

// A backend's line over the bins that have a value, with its dash, and its marker at the end. Gaps of a few bins are
// bridged (a backend that is asked rarely is not one that is away); longer ones are not.
export function seriesLine(ctx, area, frame, values, index, y) {
  const bridge = Math.max(3, Math.ceil(12 / frame.step));
  ctx.strokeStyle = ctx.fillStyle = colour(index);
  ctx.lineWidth = 1.6;
  ctx.lineJoin = 'round';
  ctx.setLineDash(dash(index));
  ctx.beginPath();
  let last = -Infinity;
  let end = null;
  const lone = [];
  for (let bin = 0; bin < frame.n; bin++) {
    if (Number.isNaN(values[bin])) continue;
    const point = [Math.min(timeX(area, frame, frame.time(bin)), area.x + area.w), y(values[bin])];
    if (bin - last <= bridge) ctx.lineTo(...point);
    else { ctx.moveTo(...point); lone.push(point); }
    last = bin;
    end = point;
  }
  ctx.stroke();
  ctx.setLineDash([]);
  for (const point of lone) mark(ctx, index, ...point, 1.8);
  if (end) mark(ctx, index, ...end, 4);
}

const GLYPHS = { ejected: '▼', down: '▼', readmitted: '▲', up: '▲', reload: '⟳', drain: '◧', start: '●', control: '◆', retry_budget: '!', client_limit: '!', log_drop: '!', unready: '■' };
export const glyph = (kind) => GLYPHS[kind] ?? '•';
export const isBad = (kind) => ['ejected', 'down', 'retry_budget', 'client_limit', 'log_drop', 'unready'].includes(kind);

export function eventMarks(ctx, area, frame) {
  const theme = colours();
  ctx.font = '10px system-ui, sans-serif';
  ctx.textAlign = 'center';
  ctx.textBaseline = 'top';
  ctx.lineWidth = 1;
  ctx.setLineDash([2, 3]);
  for (const event of frame.events) {
    const x = Math.round(timeX(area, frame, event.t)) + 0.5;
    ctx.strokeStyle = ctx.fillStyle = isBad(event.kind) ? theme.bad : event.kind === 'readmitted' || event.kind === 'up' ? theme.good : theme.soft;
    line(ctx, x, area.y + 10, x, area.y + area.h);
    ctx.fillText(glyph(event.kind), x, area.y - 3);
  }
  ctx.setLineDash([]);
}

export function nothing(ctx, area, words) {
  ctx.fillStyle = colours().soft;
  ctx.font = '12.5px system-ui, sans-serif';
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  ctx.fillText(words, area.x + area.w / 2, area.y + area.h / 2);
}
