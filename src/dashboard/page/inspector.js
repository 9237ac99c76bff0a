// Why this backend? The last decisions; a row opens the candidates with what the policy knew of each.
// While one is open the list stands still, so that nothing moves away under a reader.

import { h, $, text, isNear } from './dom.js';
import { swatch } from './palette.js';
import { number, percent, ms, clock, host } from './format.js';
import { isLog } from './model.js';
import { view, set } from './view.js';

const OUTCOME_MS = 300;
const REASONS = {
  best: 'the best score', probe: 'asked to keep its estimate fresh', young: 'new here, being tried out', 'round-robin': 'its turn', fallback: 'the better ones could not be had',
  panic: 'too few were healthy, so all were asked', trial: 'on trial after an ejection', only: 'the only one to ask', unmeasured: 'not measured yet', drawn: 'drawn by lot',
};

export class Inspector {
  constructor(app) {
    this.app = app;
    this.opened = null;
    this.held = null;
    this.filter = h('input', { class: 'field', id: 'filter', type: 'search', placeholder: 'path, backend, reason', autocomplete: 'off', oninput: () => set({ q: this.filter.value }) });
    this.why = h('select', { class: 'field', id: 'filter-reason', onchange: () => set({ why: this.why.value }) }, h('option', { value: '' }, 'any reason'), ...Object.keys(REASONS).map((name) => h('option', { value: name }, name)));
    this.news = h('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => this.close() });
    this.tools = h('div', { class: 'tools' }, h('label', { for: 'filter' }, 'Filter', this.filter), h('label', { for: 'filter-reason' }, 'Reason', this.why), this.news);
    this.body = h('tbody', { onkeydown: (event) => this.key_(event), onpointerdown: () => { this.pressed = true; } });
    addEventListener('pointerup', () => { this.pressed = false; }); // no row is replaced under a click
    addEventListener('pointercancel', () => { this.pressed = false; });
    this.box = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Decisions' },
      h('table', { id: 'decision-table' }, h('caption', { class: 'sr' }, 'Decisions, newest first; the first cell of a row opens it'),
        h('thead', {}, h('tr', {}, ...[['Time', true], ['Winner', true], ['Score'], ['Reason', true], ['Request', true], ['Attempt'], ['Outcome', true]].map(([name, left]) => h('th', { scope: 'col', class: left ? 'l' : null }, name)))), this.body));
    this.none = h('div', { class: 'empty', hidden: true });
    this.off = h('div', { class: 'empty', hidden: true }, h('p', {}, 'Decisions are not being kept.'), h('p', {}, 'Start the proxy with ', h('code', {}, 'tidegate proxy --explain …'), ' and the last 200 appear here, each with its candidates, their scores and the reason.'));
    $('decisions').append(this.tools, this.box, this.off, this.none);
  }

  list() {
    const { shown } = this.app;
    const words = view.q.toLowerCase().split(/\s+/).filter(Boolean);
    return (this.held ?? shown.decisions).filter((one) => {
      const all = `${one.method} ${one.path} ${host(shown.stats.backends[one.backend]?.url)} ${one.reason} ${one.outcome?.status ?? ''} ${one.routing}`.toLowerCase();
      return (!view.why || one.reason === view.why) && words.every((word) => all.includes(word));
    });
  }

  update() {
    const { model, shown } = this.app;
    const on = model.decisionsEnabled !== false && (model.decisionsEnabled || shown.decisions.length > 0);
    const why = isLog(shown.stats) ? 'A log holds no decisions.' : model.seconds.length ? '' : 'Waiting for figures.';
    text(this.none, why);
    this.none.hidden = on || !why;
    this.off.hidden = on || Boolean(why);
    this.tools.hidden = this.box.hidden = !on;
    text($('decisions-note'), on ? 'the last 200; open one to see why' : why ? '' : 'off');
    if (!on) return;
    if (this.filter.value !== view.q) this.filter.value = view.q;
    if (this.why.value !== view.why) this.why.value = view.why;
    if (this.held) this.complete();
    const newer = this.held ? shown.decisions.filter((one) => one.seq > this.held[0].seq).length : 0;
    this.news.hidden = !newer;
    text(this.news, `${newer}${newer === 200 ? ' or more' : ''} newer: close and show`);
    if (!isNear($('decisions')) || this.pressed) return;
    const list = this.list();
    const key = `${list.length}/${list[0]?.seq}/${list.find((one) => !one.outcome)?.seq}/${this.opened}/${view.q}/${view.why}`;
    if (key === this.key) return;
    this.key = key;
    this.fill(list);
  }

  fill(list) {
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.seq : null;
    const rows = [];
    for (const one of list) {
      rows.push(this.row(one));
      if (one.seq === this.opened) rows.push(h('tr', { id: 'decision-detail' }, h('td', { class: 'detail', colspan: '7' }, this.detail(one))));
    }
    if (!rows.length) rows.push(h('tr', {}, h('td', { class: 'l', colspan: '7' }, view.q || view.why ? 'None matches the filter.' : 'None yet.')));
    this.body.replaceChildren(...rows);
    if (focused) (this.body.querySelector(`button[data-seq="${focused}"]`) ?? this.body.querySelector('button'))?.focus();
  }

  row(one) {
    const open = one.seq === this.opened;
    const url = this.app.shown.stats.backends[one.backend]?.url;
    const winner = one.candidates.find((candidate) => candidate.backend === one.backend);
    const toggle = h('button', { type: 'button', class: 'quiet', 'data-seq': String(one.seq), 'aria-expanded': String(open), 'aria-controls': open ? 'decision-detail' : null, onclick: () => this.toggle(one.seq) }, open ? '▾ ' : '▸ ', clock(one.t, true));
    const outcome = one.outcome ? `${one.outcome.status || 'no answer'} in ${ms(one.outcome.latency_ms)}${one.outcome.reason && one.outcome.reason !== 'ok' ? `, ${one.outcome.reason}` : ''}` : 'under way';
    return h('tr', {}, h('td', { class: 'l' }, toggle), h('th', { scope: 'row', class: 'l' }, swatch(this.app.model.series.indexOf(url)), host(url)), h('td', {}, number(winner?.score)),
      h('td', { class: 'l' }, one.reason), h('td', { class: 'l wrap' }, `${one.method ?? ''} ${one.path ?? ''}`), h('td', {}, number(one.attempt)), h('td', { class: 'l' }, outcome));
  }

  detail(one) {
    const { backends } = this.app.shown.stats;
    const columns = [['Candidate', true], ['Score'], ['Estimate ms'], ['In flight'], ['Weight'], ['Failing'], ['Can be asked', true]];
    const byScore = [...one.candidates].sort((a, b) => (a.score ?? Infinity) - (b.score ?? Infinity));
    const rows = byScore.map((candidate) => {
      const won = candidate.backend === one.backend;
      const url = backends[candidate.backend]?.url;
      const can = candidate.tried ? 'already tried' : candidate.up ? 'yes' : 'no, it is out';
      return h('tr', won ? { class: 'won' } : {}, h('th', { scope: 'row', class: 'l' }, swatch(this.app.model.series.indexOf(url)), host(url), won ? ' ★ chosen' : ''), h('td', {}, number(candidate.score)), h('td', {}, number(candidate.estimate_ms)),
        h('td', {}, number(candidate.in_flight)), h('td', {}, number(candidate.weight)), h('td', {}, percent(candidate.failure_rate)), h('td', { class: 'l' }, can));
    });
    return h('div', { class: 'inside' }, h('p', {}, one.sentence ?? ''),
      h('p', { class: 'soft' }, `${one.routing}: ${one.reason}${REASONS[one.reason] ? ` (${REASONS[one.reason]})` : ''}; attempt ${one.attempt}${one.gamma === null || one.gamma === undefined ? '' : `; load exponent γ ${number(one.gamma)}`}.`),
      h('table', {}, h('caption', { class: 'sr' }, 'Candidates, best score first'), h('thead', {}, h('tr', {}, ...columns.map(([name, left]) => h('th', { scope: 'col', class: left ? 'l' : null }, name)))), h('tbody', {}, ...rows)),
      one.candidates_cut ? h('p', { class: 'soft' }, `${one.candidates_cut} more are not listed.`) : null);
  }

  toggle(seq) {
    this.opened = this.opened === seq ? null : seq;
    const opening = !this.held && this.opened !== null;
    this.held = this.opened === null ? null : this.held ?? this.app.shown.decisions;
    if (opening) setTimeout(this.app.lookAgain, OUTCOME_MS); // for the outcomes of those under way
    this.update();
  }

  // What has ended since the list was held.
  complete() {
    const ended = new Map(this.app.model.decisions.filter((one) => one.outcome).map((one) => [one.seq, one]));
    this.held = this.held.map((one) => (one.outcome ? one : ended.get(one.seq) ?? one));
  }

  close() {
    this.opened = this.held = null;
    this.update();
    this.body.querySelector('button')?.focus();
  }

  // Up and down between rows; Escape closes the open one before it does anything else.
  key_(event) {
    const buttons = [...this.body.querySelectorAll('button')];
    const at = buttons.indexOf(event.target);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
    if (next !== undefined && buttons[next]) { event.preventDefault(); buttons[next].focus(); }
    if (event.key === 'Escape' && this.opened !== null) { event.stopPropagation(); this.toggle(this.opened); }
  }
}
