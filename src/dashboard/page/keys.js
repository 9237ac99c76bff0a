// Single keys for everything, and the page that lists them. They can be switched off for those who dictate.

import { h, $ } from './dom.js';
import { view, set, WINDOWS } from './view.js';

const KEYS = [
  ['1 – 5', 'window: 1 min, 5 min, 15 min, 1 h, all'], ['p', 'pause, or go on'], ['l', 'logarithmic latency and score'], ['r', 'shares as requests per second'], ['t', 'theme: auto, dark, light'],
  ['g', 'to the charts'], ['b', 'to the backends'], ['d', 'to the decisions'], ['q', 'to the latest requests'], ['/', 'filter decisions'], ['e', 'export'],
  ['Esc', 'close what is open, then reset the zoom'], ['← →', 'on a chart: move the cursor (Page keys: by ten; Home, End)'], ['Shift ← →', 'on a chart: select'], ['Enter', 'on a chart: zoom to the selection; on a decision: open'], ['↑ ↓', 'between decisions'], ['?', 'this page'],
];

export function openHelp() {
  const dialog = $('help-dialog');
  const keys = h('input', { type: 'checkbox', id: 'single-keys', onchange: () => set({ keys: keys.checked }) });
  keys.checked = view.keys;
  dialog.replaceChildren(h('div', { class: 'stack' }, h('h2', { id: 'help-h' }, 'Keys'),
    h('dl', { class: 'keys' }, ...KEYS.flatMap(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)])),
    h('p', { class: 'soft' }, 'Drag on any chart to zoom, double-click to return. A backend in the legend can be switched off; with Alt or Shift held, all others. The address of this page holds the whole view: pass it on.'),
    h('p', { class: 'soft' }, 'The state of the proxy: ready, it takes requests (/readyz says 200), whatever its backends do; draining, it was told to stop, refuses new ones and ends those under way.'),
    h('label', { class: 'check', for: 'single-keys' }, keys, 'Single-letter keys'),
    h('div', { class: 'ends' }, h('button', { type: 'button', onclick: () => dialog.close() }, 'Close'))));
  dialog.setAttribute('aria-labelledby', 'help-h');
  dialog.showModal();
}

export function listen(app) {
  // Not to a text field, which would take the keys that follow for text.
  const focusOn = (id) => { const target = $(id); target.scrollIntoView({ block: 'start' }); (target.querySelector('#decision-table tbody button') ?? target.querySelector('[tabindex="0"]:not([hidden], [hidden] *)'))?.focus({ preventScroll: true }); };
  const single = {
    p: () => app.pause(), l: () => set({ log: !view.log }), r: () => set({ rate: !view.rate }), t: () => app.nextTheme(), '?': openHelp, g: () => focusOn('charts'), b: () => focusOn('backends'), d: () => focusOn('decisions'), q: () => focusOn('requests'),
    e: () => { $('export').open = true; $('export').querySelector('button').focus(); }, '/': () => { const filter = $('filter'); filter.scrollIntoView({ block: 'center' }); filter.focus({ preventScroll: true }); },
  };
  Object.keys(WINDOWS).forEach((name, at) => { single[String(at + 1)] = () => app.setWindow(name); });
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector('dialog[open]')) return;
    if (event.key === 'Escape') return escape();
    if (!view.keys || event.target.matches('input:not([type=range]):not([type=checkbox]), select, textarea')) return;
    const action = single[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  addEventListener('pointerdown', (event) => { if (!event.target.closest('#export')) $('export').open = false; });

  function escape() {
    if ($('export').open) { $('export').open = false; $('export').querySelector('summary').focus(); return; }
    if (app.pointer?.select) { app.point(null); return; }
    if (view.zoom) app.unzoom();
  }
}
