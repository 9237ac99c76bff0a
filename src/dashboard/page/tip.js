// The little box beside the cursor. It repeats what the charts' tables have, so it is hidden from screen readers,
// which are told in words when the cursor moves by keyboard.

import { $, h } from './dom.js';
import { swatch } from './palette.js';
import { clock } from './format.js';
import { glyph } from './axes.js';

const ROWS_MAX = 12;

export function showTip(app, pointer) {
  const box = $('tip');
  box.hidden = !pointer?.figure || !app.frame;
  if (box.hidden) return;
  const bin = app.binAt(pointer.t);
  const rows = pointer.figure.spec.tip(app, bin);
  const near = app.frame.events.filter((event) => Math.abs(event.t - pointer.t) < Math.max(app.frame.step * 1000, (app.frame.t1 - app.frame.t0) / 120)).slice(-3);
  const at = clock(app.frame.time(bin));
  const span = pointer.select && `${clock(Math.min(...pointer.select))} – ${clock(Math.max(...pointer.select))}`;
  box.replaceChildren(h('strong', {}, span ?? at), ...(span ? [h('div', { class: 'soft' }, `to zoom to; at ${at}:`)] : []),
    h('table', {}, h('tbody', {}, ...rows.slice(0, ROWS_MAX).map(([name, value, series]) => h('tr', {}, h('td', {}, series === undefined ? null : swatch(series), name), h('td', {}, value))))),
    ...(rows.length > ROWS_MAX ? [h('div', { class: 'soft' }, `and ${rows.length - ROWS_MAX} more`)] : []),
    ...(rows.length ? [] : [h('div', { class: 'soft' }, 'nothing measured')]),
    ...near.map((event) => h('div', {}, `${glyph(event.kind)} ${event.text}`)));
  const size = box.getBoundingClientRect();
  const x = pointer.x + 16 + size.width > innerWidth ? Math.max(4, pointer.x - 16 - size.width) : pointer.x + 16;
  const y = Math.min(Math.max(4, pointer.y + 14), Math.max(4, innerHeight - size.height - 4));
  box.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
}
