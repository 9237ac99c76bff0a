// The table of backends, sortable by any column; the bars of requests per backend; the shadow policies.

import { h, $, text, tableBox, fillRows } from './dom.js';
import { swatch } from './palette.js';
import { number, count, percent, ms, host, clock } from './format.js';
import { view, set } from './view.js';
import { actions } from './control.js';
import { isLog } from './model.js';

const STATES = { up: ['●', 'good', 'up'], ejected: ['▼', 'bad', 'ejected'], trial: ['◐', 'warn', 'on trial'], down: ['✕', 'bad', 'down'], draining: ['◧', 'warn', 'draining'], removed: ['○', 'soft', 'removed'] };

// name, title, value for sorting, cell; b is the backend with rate and window share added
const COLUMNS = [
  ['state', 'State', (b) => b.state, (b) => state(b), true],
  ['weight', 'Weight', (b) => b.weight, (b) => number(b.weight)],
  ['in_flight', 'In flight', (b) => b.in_flight, (b) => count(b.in_flight)],
  ['idle', 'Idle / busy conn.', (b) => b.idle, (b) => (b.open === undefined ? '–' : `${count(b.idle)} / ${count(b.open - b.idle)}`)],
  ['rate', 'req/s', (b) => b.rate, (b) => number(b.rate)],
  ['share', 'Share', (b) => b.shown, (b) => share(b.shown)],
  ['sma_ms', 'SMA ms', (b) => b.sma_ms, (b) => number(b.sma_ms)],
  ['ewma_ms', 'EWMA ms', (b) => b.ewma_ms, (b) => number(b.ewma_ms)],
  ['score', 'Score', (b) => b.score, (b) => number(b.score)],
  ['p50_ms', 'p50 ms', (b) => b.p50_ms, (b) => number(b.p50_ms)],
  ['p95_ms', 'p95 ms', (b) => b.p95_ms, (b) => number(b.p95_ms)],
  ['p99_ms', 'p99 ms', (b) => b.p99_ms, (b) => number(b.p99_ms)],
  ['max_ms', 'Max ms', (b) => b.max_ms, (b) => number(b.max_ms)],
  ['requests', 'Requests', (b) => b.requests, (b) => count(b.requests)],
  ['errors', 'Errors', (b) => b.errors, (b) => count(b.errors)],
  ['failure_rate', 'Failing', (b) => b.failure_rate, (b) => percent(b.failure_rate)],
  ['last_check', 'Last check', (b) => b.last_check?.t, (b) => (b.last_check ? `${b.last_check.ok ? '✓' : '✕'} ${b.last_check.text}, ${clock(b.last_check.t)}` : '–'), true],
];

// What rows do not tell, whatever the same program as a proxy would know.
const NOT_LOGGED = { state: null, weight: null, in_flight: null, open: undefined };

// Heading 0 is the name: the buttons stand behind the state, where they are seen without scrolling.
const CONTROL_AFTER = 1;

function state(b) {
  if (!b.state) return '–';
  const [glyph, look, word] = STATES[b.state] ?? ['●', 'soft', b.state ?? '–'];
  const left = b.until ? Math.max(0, Math.round((b.until - b.now) / 1000)) : 0;
  const why = [b.why, left ? `${left} s to go` : ''].filter(Boolean).join(', ');
  return h('span', { class: 'state' }, h('span', { class: look, 'aria-hidden': 'true' }, glyph), h('span', { class: look }, word), why ? h('small', {}, why) : null);
}

function share(value) {
  const bar = h('i');
  bar.style.width = `${Math.round((value ?? 0) * 100)}%`;
  return h('span', {}, percent(value), h('span', { class: 'meter', 'aria-hidden': 'true' }, bar));
}

export class Backends {
  constructor(app) {
    this.app = app;
    this.head = h('tr');
    this.body = h('tbody');
    this.rows = new Map();
    $('backends').append(h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Backends' },
      h('table', { id: 'backend-table' }, h('caption', { class: 'sr' }, 'Backends; the heading buttons sort'), h('thead', {}, this.head), this.body)));
    this.headings = [['url', 'Backend', (b) => b.url, null, true], ...COLUMNS].map(([name, title, , , left]) => {
      const arrow = h('span', { 'aria-hidden': 'true' });
      const cell = h('th', { scope: 'col', class: [left ? 'l' : '', name === 'url' ? 'stick' : ''].join(' ').trim() || null }, h('button', { type: 'button', 'data-sort': name, onclick: () => this.sortBy(name) }, title, arrow));
      this.head.append(cell);
      return { name, cell, arrow };
    });
    this.actionsHead = h('th', { scope: 'col', class: 'l', hidden: true }, 'Control');
    this.headings[CONTROL_AFTER].cell.after(this.actionsHead);
  }

  // A second press turns the order round, the third returns to the configured one.
  sortBy(name) {
    const first = name === 'url' || name === 'state' ? 'asc' : 'desc';
    const [now, way] = view.sort.split('.');
    if (now !== name) set({ sort: `${name}.${first}` });
    else set({ sort: way === first ? `${name}.${first === 'asc' ? 'desc' : 'asc'}` : '' });
  }

  numbers() {
    const { app } = this;
    const { stats } = app.shown;
    const { frame, model } = app;
    const latest = frame.high > frame.low ? model.seconds[frame.high - 1] : null;
    return model.order(stats).map((place) => {
      const backend = stats.backends[place];
      const at = model.series.indexOf(backend.url);
      const one = frame.series[at];
      const heard = latest?.ids.indexOf(at) ?? -1;
      return { ...backend, ...(isLog(stats) ? NOT_LOGGED : {}), at, now: stats.t, shown: one && frame.total.requests ? one.total / frame.total.requests : backend.share, rate: heard >= 0 ? latest.backends[heard]?.requests : null };
    });
  }

  update() {
    const [name, way] = view.sort.split('.');
    const value = [['url', '', (b) => b.url], ...COLUMNS].find(([column]) => column === name)?.[2];
    const all = this.numbers();
    if (value) {
      const sign = way === 'desc' ? -1 : 1;
      const missing = (x) => x === null || x === undefined;
      all.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (missing(x) || missing(y)) return missing(x) - missing(y);
        return sign * (typeof x === 'string' ? x.localeCompare(y, 'en', { numeric: true }) : x - y);
      });
    }
    for (const { name: column, cell, arrow } of this.headings) {
      if (column === name) cell.setAttribute('aria-sort', way === 'asc' ? 'ascending' : 'descending');
      else cell.removeAttribute('aria-sort');
      text(arrow, column === name ? (way === 'asc' ? ' ▲' : ' ▼') : '');
    }
    const control = Boolean(this.app.shown.stats.control);
    this.actionsHead.hidden = !control;
    all.forEach((backend, at) => {
      const row = this.row(backend, control);
      COLUMNS.forEach(([, , , cell], column) => {
        const content = cell(backend);
        const box = row.cells[column];
        if (typeof content === 'string') text(box, content);
        else box.replaceChildren(content);
      });
      if (this.body.children[at] !== row.element) this.body.insertBefore(row.element, this.body.children[at] ?? null);
      row.controls?.(backend);
    });
    while (this.body.children.length > all.length) this.body.lastChild.remove();
    const away = all.filter((backend) => backend.state && backend.state !== 'up').length;
    const up = isLog(this.app.shown.stats) ? `${all.length} in the log` : `${all.length - away} of ${all.length} up`;
    text($('backends-note'), `${up}; req/s of the last second, share in this window, percentiles and counts since the start`);
  }

  row(backend, control) {
    const key = `${backend.url}|${control}`;
    if (!this.rows.has(key)) {
      const cells = COLUMNS.map(([, , , , left]) => h('td', { class: left ? 'l' : null }));
      const element = h('tr', { 'data-url': backend.url }, h('th', { scope: 'row', class: 'l stick' }, swatch(backend.at), host(backend.url)), ...cells);
      const row = { element, cells };
      if (control) {
        const tools = actions(this.app, backend.url);
        cells[CONTROL_AFTER - 1].after(h('td', { class: 'l' }, tools.element));
        row.controls = tools.update;
      }
      this.rows.set(key, row);
    }
    return this.rows.get(key);
  }
}

// Requests since the start as bars, which are a table already.
export class Bars {
  constructor(app) {
    this.app = app;
    this.words = h('p', { class: 'summary' });
    this.body = h('tbody');
    this.rows = new Map();
    $('bars').append(h('figure', { class: 'card', 'aria-labelledby': 'bars-h' }, h('div', { class: 'fig-head' }, h('h3', { id: 'bars-h' }, 'Requests per backend, in all ', h('small', {}, 'since the start'))),
      h('div', { class: 'hbars' }, h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Requests per backend' }, h('table', {}, h('caption', { class: 'sr' }, 'Requests per backend since the start'),
        h('thead', { class: 'sr' }, h('tr', {}, ...['Backend', 'Bar', 'Requests', 'Share'].map((name) => h('th', { scope: 'col' }, name)))), this.body))), this.words));
  }

  update() {
    const { stats } = this.app.shown;
    const total = stats.backends.reduce((sum, backend) => sum + backend.requests, 0);
    const most = Math.max(1, ...stats.backends.map((backend) => backend.requests));
    const rows = this.app.model.order(stats).map((place) => {
      const backend = stats.backends[place];
      if (!this.rows.has(backend.url)) {
        const at = this.app.model.series.indexOf(backend.url);
        const [bar, many, part] = [h('span', { class: 'hbar', 'aria-hidden': 'true' }), h('td'), h('td')];
        this.rows.set(backend.url, { bar, many, part, at, element: h('tr', {}, h('th', { scope: 'row', class: 'l' }, swatch(at), host(backend.url)), h('td', { class: 'hbar-cell l' }, bar), many, part) });
      }
      const row = this.rows.get(backend.url);
      row.bar.style.width = `${(100 * backend.requests) / most}%`;
      row.bar.style.background = `var(--c${row.at % 8})`;
      text(row.many, count(backend.requests));
      text(row.part, percent(total ? backend.requests / total : null));
      return row.element;
    });
    if (rows.length !== this.body.children.length || rows.some((row, at) => this.body.children[at] !== row)) this.body.replaceChildren(...rows);
    const sorted = [...stats.backends].sort((a, b) => b.requests - a.requests);
    text(this.words, total ? `${host(sorted[0].url)} answered most: ${count(sorted[0].requests)} of ${count(total)}.` : 'No requests yet.');
  }
}

export class Shadow {
  constructor(app) {
    this.app = app;
    this.headings = [['Policy', true], ['Decisions'], ['Agreed'], ['Agreed, share'], ['Mean where agreed'], ['Mean of all']];
    $('shadow').append(this.box = tableBox('Shadow policies', this.headings));
  }

  update() {
    const shadow = this.app.shown.stats.shadow ?? [];
    $('shadow-section').hidden = !shadow.length;
    fillRows(this.box.querySelector('tbody'), this.headings, shadow.map((one) => [one.routing, count(one.decisions), count(one.agreed), percent(one.agreed_share), ms(one.mean_ms_agreed), ms(one.mean_ms_all)]));
  }
}
