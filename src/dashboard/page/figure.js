// A chart as a card: title, canvas, a sentence that says what it shows, and the same numbers as a table.
// A TimeFigure adds what charts over time share: a cursor, and a brush by mouse, touch or keyboard.

import { h, text, tableBox, fillRows, isNear, announce } from './dom.js';
import { areaOf, xTime, timeX, nothing } from './axes.js';
import { view, set, toggle } from './view.js';
import { clock } from './format.js';
import { download, toCsv } from './export.js';

// Before the first second nothing is known, which is not the same as that nothing happens.
const WAITING = 'Waiting for figures';

export class Figure {
  // spec: {id, title, note?, height, tools?, draw(ctx, area, app), summary(app), table(app) -> {headings, rows}}
  constructor(app, spec) {
    Object.assign(this, { app, spec });
    this.canvas = h('canvas', { role: 'img', 'aria-label': `${spec.title}, as a chart`, 'aria-describedby': `${spec.id}-summary` });
    this.plot = h('div', { class: 'plot', id: `${spec.id}-plot` }, this.canvas);
    this.plot.style.height = `${spec.height}px`;
    this.note = h('small', {}, spec.note ?? '');
    this.words = h('p', { class: 'summary', id: `${spec.id}-summary` });
    this.twin = h('details', { class: 'twin', id: `${spec.id}-twin`, ontoggle: () => this.toggled() },
      h('summary', {}, 'Table', h('span', { class: 'sr' }, ` of ${spec.title}`)));
    this.twin.open = view.open.includes(spec.id);
    this.element = h('figure', { class: 'card', id: spec.id, 'aria-labelledby': `${spec.id}-h` },
      h('div', { class: 'fig-head' }, h('h3', { id: `${spec.id}-h` }, spec.title, ' ', this.note), h('span', { class: 'grow' }), ...(spec.tools ?? [])),
      this.plot, h('div', { class: 'foot' }, this.words, this.twin));
  }

  toggled() {
    if (this.twin.open !== view.open.includes(this.spec.id)) toggle('open', this.spec.id);
    this.fill();
  }

  fill() {
    if (!this.twin.open || !this.app.frame) return;
    const { headings, rows } = this.spec.table(this.app);
    const key = headings.map(([name]) => name).join('|');
    if (key !== this.key) {
      this.key = key;
      this.box?.remove();
      this.save?.remove();
      this.box = tableBox(`${this.spec.title}, as a table`, headings);
      this.save = h('div', { class: 'row' }, h('button', { class: 'quiet', type: 'button', onclick: () => this.export() }, 'Save as CSV', h('span', { class: 'sr' }, `: ${this.spec.title}`)));
      this.twin.append(this.save, this.box);
    }
    fillRows(this.box.querySelector('tbody'), headings, rows);
  }

  export() {
    const { headings, rows } = this.spec.table(this.app);
    download(`tidegate-${this.spec.id}.csv`, 'text/csv', toCsv([headings.map(([name]) => name), ...rows]));
  }

  update() {
    this.waits = !this.app.model.seconds.length && this.app.model.stats.live !== false;
    text(this.words, this.waits ? WAITING : this.spec.summary(this.app));
    if (!isNear(this.element)) return;
    this.paint();
    this.fill();
  }

  paint() {
    const width = this.plot.clientWidth;
    const height = this.spec.height;
    const scale = devicePixelRatio || 1;
    if (!width) return;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const ctx = this.canvas.getContext('2d');
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.clearRect(0, 0, width, height);
    this.area = areaOf(width, height);
    if (this.waits) nothing(ctx, this.area, WAITING);
    else this.spec.draw(ctx, this.area, this.app);
  }
}

const ZOOM_S_MIN = 3;

export class TimeFigure extends Figure {
  // spec also: tip(app, bin) -> [[label, value, series?]…]
  constructor(app, spec) {
    super(app, spec);
    this.cross = h('div', { class: 'cross', hidden: true });
    this.shade = h('div', { class: 'select', hidden: true });
    this.plot.append(this.cross, this.shade);
    for (const [name, value] of Object.entries({ tabindex: '0', role: 'group', 'aria-roledescription': 'chart over time', 'aria-label': `${spec.title}. Arrow keys move the cursor, with Shift they select, Enter zooms`, 'aria-describedby': `${spec.id}-summary` })) this.plot.setAttribute(name, value);
    this.plot.addEventListener('pointermove', (event) => this.moved(event));
    this.plot.addEventListener('pointerdown', (event) => this.pressed(event));
    this.plot.addEventListener('pointerup', (event) => this.released(event));
    this.plot.addEventListener('pointercancel', () => { this.from = null; this.app.point(null); });
    this.plot.addEventListener('pointerleave', () => { if (this.from === null) this.app.point(null); });
    this.plot.addEventListener('dblclick', () => set({ zoom: null }));
    this.plot.addEventListener('keydown', (event) => this.key_(event));
    this.plot.addEventListener('blur', () => this.app.point(null));
    this.from = null;
  }

  timeAt(event) {
    const { frame } = this.app;
    const t = xTime(this.area, frame, event.clientX - this.plot.getBoundingClientRect().left);
    return Math.min(Math.max(t, frame.t0), frame.t1);
  }

  moved(event) {
    if (!this.area) return;
    const t = this.timeAt(event);
    const far = this.from !== null && Math.abs(event.clientX - this.pressX) > 4;
    this.app.point({ t, figure: this, x: event.clientX, y: event.clientY, select: far ? [this.from, t] : null });
  }

  pressed(event) {
    if (event.button !== 0 || !this.area) return;
    this.from = this.timeAt(event);
    this.pressX = event.clientX;
    this.plot.setPointerCapture(event.pointerId);
  }

  released(event) {
    if (this.from === null) return;
    const [a, b] = [this.from, this.timeAt(event)].sort((x, y) => x - y);
    const far = Math.abs(event.clientX - this.pressX) > 4;
    this.from = null;
    this.app.point(null);
    if (far) zoomTo(a, b);
  }

  // The chart's own keys; the page's are in keys.js.
  key_(event) {
    const { frame, pointer } = this.app;
    if (event.ctrlKey || event.metaKey || event.altKey || !this.area) return;
    const step = frame.step * 1000;
    const now = pointer?.t ?? frame.t1;
    const moves = { ArrowLeft: now - step, ArrowRight: now + step, PageUp: now - 10 * step, PageDown: now + 10 * step, Home: frame.t0 + step, End: frame.t1 };
    if (event.key in moves) {
      event.preventDefault();
      const t = Math.min(Math.max(moves[event.key], frame.t0 + 1), frame.t1);
      const start = event.shiftKey ? pointer?.select?.[0] ?? now : null;
      const box = this.plot.getBoundingClientRect();
      this.app.point({ t, figure: this, x: box.left + timeX(this.area, frame, t), y: box.top + 24, select: start === null ? null : [start, t] });
      announce(this.inWords(t));
    } else if (event.key === 'Enter' && pointer?.select) {
      const [a, b] = [...pointer.select].sort((x, y) => x - y);
      this.app.point(null);
      zoomTo(a, b);
    }
  }

  inWords(t) {
    const bin = this.app.binAt(t);
    return `${clock(t)}: ${this.spec.tip(this.app, bin).slice(0, 8).map(([label, value]) => `${label} ${value}`).join(', ') || 'nothing measured'}`;
  }

  // Moves cursor and selection without a repaint.
  place(pointer) {
    this.cross.hidden = !pointer || !this.area;
    this.shade.hidden = !pointer?.select || !this.area;
    if (!pointer || !this.area) return;
    const { frame } = this.app;
    this.cross.style.transform = `translateX(${Math.round(timeX(this.area, frame, pointer.t))}px)`;
    if (!pointer.select) return;
    const [a, b] = pointer.select.map((t) => timeX(this.area, frame, t)).sort((x, y) => x - y);
    this.shade.style.transform = `translateX(${a}px)`;
    this.shade.style.width = `${b - a}px`;
  }
}

export function zoomTo(a, b) {
  const middle = (a + b) / 2;
  const half = Math.max((b - a) / 2, (ZOOM_S_MIN * 1000) / 2);
  set({ zoom: [Math.round(middle - half), Math.round(middle + half)] });
  announce(`Zoomed to ${clock(middle - half)} until ${clock(middle + half)}. Escape returns.`);
}
