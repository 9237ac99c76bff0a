// Latest requests and events: the newest on top, only new rows are built.

import { h, $, text, isNear } from './dom.js';
import { swatch } from './palette.js';
import { number, clock, host, shortNames } from './format.js';
import { glyph, isBad } from './axes.js';
import { isLog } from './model.js';
import { view } from './view.js';

// With more backends than this a column for each would be unreadable; the chosen one's averages stay.
const AVERAGES_MAX = 8;
const ROWS = 200;

export class Requests {
  constructor(app) {
    this.app = app;
    this.head = h('tr');
    this.body = h('tbody');
    this.rows = new Map();
    $('requests').append(h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Latest requests' },
      h('table', { id: 'request-table' }, h('caption', { class: 'sr' }, 'Latest requests, newest first'), h('thead', {}, this.head), this.body)));
  }

  update() {
    const { shown } = this.app;
    text($('requests-note'), `newest first, at most ${ROWS}; averages in ms right after the request, SMA / EWMA`);
    const urls = shown.stats.backends.map((backend) => backend.url);
    const each = urls.length <= AVERAGES_MAX;
    const order = this.app.model.order(shown.stats);
    const key = `${order.map((at) => urls[at]).join()}`;
    if (key !== this.key) {
      this.key = key;
      this.rows.clear();
      this.names = shortNames(urls);
      const averages = each ? order.map((at) => [`${this.names[at]} SMA / EWMA`]) : [["Chosen one's SMA / EWMA"]];
      const headings = [['Time', true], ['Port', true], ['Latency ms'], ['Status'], ['Request', true], ['Attempts'], ['Outcome', true], ...averages];
      this.head.replaceChildren(...headings.map(([name, left]) => h('th', { scope: 'col', class: left ? 'l' : null }, name)));
    }
    if (!isNear($('requests'))) return;
    const seen = new Map();
    const elements = shown.requests.map((row) => {
      const element = this.rows.get(row.seq) ?? this.row(row, urls, each ? order : [row.backend]);
      seen.set(row.seq, element);
      return element;
    });
    this.rows = seen;
    if (!elements.length) this.body.replaceChildren(h('tr', {}, h('td', { class: 'l', colspan: '9' }, this.app.model.seconds.length || isLog(shown.stats) ? 'None yet.' : 'Waiting for figures.')));
    else if (this.body.firstChild !== elements[0] || this.body.children.length !== elements.length) this.body.replaceChildren(...elements);
  }

  row(row, urls, places) {
    const url = urls[row.backend];
    const pair = (average) => (average ? `${number(average.sma_ms)} / ${number(average.ewma_ms)}` : '–');
    const averages = places.map((at) => [row.averages?.[at], at]);
    const port = url === undefined ? '–' : host(url).split(':').at(-1);
    return h('tr', row.status >= 500 || !row.status ? { class: 'failed' } : {},
      h('td', { class: 'l' }, clock(row.t, true)),
      h('th', { scope: 'row', class: 'l', title: host(url) }, url === undefined ? null : swatch(this.app.model.series.indexOf(url)), port),
      h('td', {}, number(row.latency_ms)),
      h('td', { class: row.status >= 500 || !row.status ? 'bad' : null }, `${row.status >= 500 ? '✕ ' : ''}${row.status || 'none'}`),
      h('td', { class: 'l wrap' }, [row.method, row.path].filter(Boolean).join(' ') || '–'),
      h('td', {}, number(row.attempts)),
      h('td', { class: 'l' }, row.reason ?? '–'),
      ...averages.map(([average, at]) => h('td', { class: at === row.backend ? 'mine' : null }, pair(average))));
  }
}

export class Events {
  constructor(app) {
    this.app = app;
    this.body = h('tbody');
    $('events').append(h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Events' },
      h('table', {}, h('caption', { class: 'sr' }, 'Events, newest first'), h('thead', {}, h('tr', {}, ...['Time', 'Kind', 'Backend', 'What'].map((name) => h('th', { scope: 'col', class: 'l' }, name)))), this.body)));
  }

  update() {
    const { shown } = this.app;
    const shortly = view.zoom ? this.app.frame.events : shown.events;
    text($('events-note'), `${shortly.length}${view.zoom ? ' in this window' : ''}, newest first; marked on the charts`);
    const key = `${Boolean(this.app.model.seconds.length)}/${shortly.length}/${shortly.at(-1)?.seq}/${shortly[0]?.seq}`;
    if (key === this.key) return;
    this.key = key;
    this.body.replaceChildren(...shortly.toReversed().map((event) => h('tr', {},
      h('td', { class: 'l' }, clock(event.t)),
      h('th', { scope: 'row', class: `l ${isBad(event.kind) ? 'bad' : ''}` }, h('span', { 'aria-hidden': 'true' }, `${glyph(event.kind)} `), event.kind.replaceAll('_', ' ')),
      h('td', { class: 'l' }, event.backend ? host(event.backend) : '–'),
      h('td', { class: 'l wrap' }, event.text))));
    if (!shortly.length) this.body.replaceChildren(h('tr', {}, h('td', { class: 'l', colspan: '4' }, this.app.model.seconds.length || isLog(shown.stats) ? 'Nothing has happened.' : 'Waiting for figures.')));
  }
}
