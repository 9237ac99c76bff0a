// Puts the page together: one model, one view, one frame of numbers, and parts that draw themselves from it.

import { $, h, text, announce, paper } from './dom.js';
import { Model, isAnother } from './model.js';
import { Feed } from './feed.js';
import { view, set, toggle, read, range, onChange, followAddress, isPaused, WINDOWS, WINDOW_NAMES } from './view.js';
import { refresh, swatch, repaintSwatches } from './palette.js';
import { shortNames, duration, clock } from './format.js';
import { timeCharts, drawOverview } from './charts.js';
import { heatChart, curveChart, spanInWords } from './distribution.js';
import { Tiles } from './tiles.js';
import { Backends, Bars, Shadow } from './backends.js';
import { Inspector } from './inspector.js';
import { Requests, Events } from './lists.js';
import { RoutingControl, notice, askToRead } from './control.js';
import { fillMenu } from './export.js';
import { listen, openHelp } from './keys.js';
import { showTip } from './tip.js';

const DECISIONS_EVERY = 2; // seconds between two looks at them

const model = new Model();
const app = { model, frame: null, shown: null, names: [], pointer: null, point, pause, unzoom, nextTheme, setWindow, binAt, lookAgain };
let parts = [];
let figures = [];
let seconds = 0;

// The numbers shown: those of now, or those of when the reader said stop.
function takeShown() {
  app.shown = { stats: model.stats, requests: model.requests, decisions: model.decisions, events: [...model.events] };
}

function build() {
  figures = [...timeCharts(app), heatChart(app)];
  $('charts').append(...figures.map((figure) => figure.element));
  const curve = curveChart(app);
  $('curve').append(curve.element);
  parts = [new Tiles(app), ...figures, curve, new Bars(app), new Backends(app), new Shadow(app), new Inspector(app), new Requests(app), new Events(app), new RoutingControl(app)];
  app.overview = h('canvas', { role: 'img', 'aria-label': 'Requests per second over everything kept, with the window marked' });
  app.scrub = h('input', { type: 'range', id: 'scrub', min: '0', step: '1', oninput: () => scrub(model.first() + 1000 * Number(app.scrub.value)) });
  app.scrubNote = h('output', { for: 'scrub' });
  $('overview').append(app.overview, h('label', { for: 'scrub' }, 'Moment', app.scrub, app.scrubNote));
  fillMenu(app, $('export').querySelector('.menu-in'));
}

let due = false;
function schedule() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; render(); });
}

function render() {
  if (!model.loaded) return;
  if (!isPaused() || !app.shown || isAnother(app.shown.stats, model.stats)) takeShown();
  if (!parts.length) build();
  app.names = shortNames(model.series);
  const [t0, t1] = range(model);
  app.frame = model.frame(t0, t1, Math.max(60, ($('charts').clientWidth - 90) / 3.6));
  bar();
  legend();
  for (const part of parts) part.update();
  drawOverview(app, app.overview);
  if (app.pointer) point(app.pointer);
  document.documentElement.dataset.seq = String(model.lastSeq); // for tests: what has been drawn
}

function bar() {
  const { stats } = app.shown;
  const live = model.stats.live !== false;
  text($('version'), stats.version ?? '');
  text($('mode'), stats.routing);
  text($('upstream'), stats.upstream ?? '–');
  text($('listen'), stats.listen ?? '–');
  text($('uptime'), duration(stats.uptime_s));
  const readiness = $('readiness');
  text(readiness, stats.ready === false ? '■ draining' : live ? '● ready' : '● ended');
  readiness.className = `pill ${stats.ready === false ? 'warn' : 'good'}`;
  document.title = `${stats.routing} – tidegate`;
  for (const button of $('windows').children) {
    button.setAttribute('aria-pressed', String(!view.zoom && button.dataset.w === view.w));
    button.hidden = button.dataset.w === 'all' && live && view.w !== 'all';
  }
  $('pause').setAttribute('aria-pressed', String(isPaused()));
  text($('pause'), live ? (isPaused() ? 'Go on' : 'Pause') : 'To the end');
  $('pause').hidden = !live && !isPaused();
  $('unzoom').hidden = !view.zoom;
  $('log').setAttribute('aria-pressed', String(view.log));
  text($('theme'), `Theme: ${view.theme}`);
  text($('range'), spanInWords(app.frame));
  const [first, last] = [model.first() ?? 0, model.last() ?? 0];
  const at = view.zoom?.[1] ?? view.at;
  const steps = (t) => String(Math.max(0, Math.round((t - first) / 1000)));
  app.scrub.max = steps(last);
  app.scrub.value = steps(at ?? last);
  text(app.scrubNote, at ? clock(at) : live ? 'now' : 'the end');
  app.scrub.setAttribute('aria-valuetext', at ? clock(at) : live ? 'now' : 'the end');
}

let legendKey = '';
function legend() {
  const seen = app.names.map((name, at) => [name, at]).filter(([, at]) => app.frame.series[at]?.seen || app.shown.stats.backends.some((backend) => backend.url === model.series[at]));
  const key = JSON.stringify(seen);
  if (key !== legendKey) {
    legendKey = key;
    $('legend').replaceChildren(...seen.map(([name, at]) => h('button', { type: 'button', class: 'chip', 'data-name': name, onclick: (event) => (event.altKey || event.shiftKey ? only(name) : toggle('hide', name)) }, swatch(at), name)));
  }
  for (const chip of $('legend').children) chip.setAttribute('aria-pressed', String(!view.hide.includes(chip.dataset.name)));
}

function only(name) {
  const others = app.names.filter((other) => other !== name);
  set({ hide: others.every((other) => view.hide.includes(other)) && !view.hide.includes(name) ? [] : others });
}

function binAt(t) {
  const { frame } = app;
  let best = 0;
  for (let bin = 0; bin < frame.n; bin++) if (Math.abs(frame.time(bin) - t) < Math.abs(frame.time(best) - t)) best = bin;
  return best;
}

// The cursor all charts share; null takes it away.
function point(pointer) {
  app.pointer = pointer;
  const marked = pointer ?? (view.w === 'all' && view.at !== null && !view.zoom ? { t: view.at } : null);
  for (const figure of figures) figure.place(marked);
  showTip(app, pointer);
}

function pause() {
  if (isPaused()) { set({ at: null }); announce('Going on'); return; }
  if (model.stats?.live === false || !model.seconds.length) return;
  set({ at: model.last() });
  announce('Paused');
}

function scrub(t) {
  set({ at: t >= (model.last() ?? 0) - 999 ? null : t, zoom: null });
}

// At the decisions; a failure is the feed's to tell.
function lookAgain() {
  feed.decisions().then(schedule, () => {});
}

function unzoom() {
  set({ zoom: null });
  announce('Zoom reset');
}

function setWindow(w) {
  set({ w, zoom: null, chosen: true });
  announce(`Window ${WINDOW_NAMES[w]}`);
}

function nextTheme() {
  const order = ['auto', 'dark', 'light'];
  set({ theme: order[(order.indexOf(view.theme) + 1) % 3] });
  announce(`Theme ${view.theme}`);
}

function paintTheme() {
  if (view.theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = view.theme;
  refresh();
  repaintSwatches();
}

const FEED = { live: ['● live', 'good'], lost: ['✕ lost, trying again', 'bad'], finished: ['■ a finished log', 'soft'] };
function feedState(name, detail) {
  const [words, look] = FEED[name];
  const before = $('feed').textContent;
  text($('feed'), words);
  $('feed').className = `pill ${look}`;
  $('feed').title = detail ?? '';
  if (before !== words && (name === 'lost' || before.startsWith('✕'))) announce(`Feed ${words.slice(2)}`);
}

const feed = new Feed(model, {
  state: feedState,
  loaded() {
    if (model.stats.live === false && !view.chosen) set({ w: 'all' });
    schedule();
  },
  second() {
    seconds += 1;
    if (seconds % DECISIONS_EVERY === 0 && model.stats.explain && !isPaused() && !document.hidden) lookAgain();
    if (!document.hidden) schedule();
  },
  refused: (status) => (status === 401 ? askToRead() : notice('The proxy refuses to show its figures at this address.', true)),
});

read();
onChange((patch) => {
  if ('theme' in patch) paintTheme();
  schedule();
});
followAddress();
paintTheme();
$('windows').append(...Object.keys(WINDOWS).map((w) => h('button', { type: 'button', 'data-w': w, onclick: () => setWindow(w) }, WINDOW_NAMES[w])));
$('pause').addEventListener('click', pause);
$('unzoom').addEventListener('click', unzoom);
$('log').addEventListener('click', () => set({ log: !view.log }));
$('theme').addEventListener('click', nextTheme);
$('help').addEventListener('click', openHelp);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { paintTheme(); schedule(); });
document.addEventListener('visibilitychange', schedule);
addEventListener('resize', schedule);
addEventListener('beforeprint', () => { paper.wanted = true; render(); });
addEventListener('afterprint', () => { paper.wanted = false; });
addEventListener('scroll', schedule, { passive: true });
listen(app);
feed.run();
