// What the reader has chosen to see. All of it lives in the address (after the #), so that a link shows the same.

export const WINDOWS = { '1m': 60, '5m': 300, '15m': 900, '1h': 3600, all: null };
export const WINDOW_NAMES = { '1m': '1 min', '5m': '5 min', '15m': '15 min', '1h': '1 h', all: 'All' };
const YOUNG_MS = 60000;
const DEFAULTS = { w: '5m', at: null, zoom: null, sort: '', log: false, rate: false, theme: 'auto', open: [], hide: [], q: '', why: '', keys: true };

export const view = { ...DEFAULTS };
const listeners = [];

export function onChange(listener) { listeners.push(listener); }

export function set(patch) {
  Object.assign(view, patch);
  write();
  for (const listener of listeners) listener(patch);
}

export function toggle(name, value) {
  set({ [name]: view[name].includes(value) ? view[name].filter((other) => other !== value) : [...view[name], value] });
}

export const isPaused = () => view.at !== null;

export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const list = (name) => (given.get(name) ?? '').split(',').filter(Boolean);
  const time = (value) => (/^\d{12,14}$/.test(value ?? '') ? Number(value) : null);
  const zoom = (given.get('zoom') ?? '').split('-').map(time);
  const patch = {
    w: given.get('w') in WINDOWS ? given.get('w') : DEFAULTS.w,
    chosen: given.has('w'),
    at: time(given.get('at')),
    zoom: zoom.length === 2 && zoom[0] && zoom[1] > zoom[0] ? zoom : null,
    sort: /^[a-z0-9_]+\.(asc|desc)$/.test(given.get('sort') ?? '') ? given.get('sort') : '',
    log: given.get('log') === '1',
    rate: given.get('rate') === '1',
    theme: ['dark', 'light'].includes(given.get('theme')) ? given.get('theme') : 'auto',
    open: list('open'),
    hide: list('hide'),
    q: given.get('q') ?? '',
    why: given.get('why') ?? '',
    keys: given.get('keys') !== '0',
  };
  Object.assign(view, patch);
  for (const listener of listeners) listener(patch);
}

let written = '';
function write() {
  const to = new URLSearchParams();
  if (view.w !== DEFAULTS.w || view.chosen) to.set('w', view.w);
  if (view.at !== null) to.set('at', String(Math.round(view.at)));
  if (view.zoom) to.set('zoom', view.zoom.map(Math.round).join('-'));
  for (const name of ['sort', 'q', 'why']) if (view[name]) to.set(name, view[name]);
  for (const name of ['log', 'rate']) if (view[name]) to.set(name, '1');
  if (view.theme !== 'auto') to.set('theme', view.theme);
  for (const name of ['open', 'hide']) if (view[name].length) to.set(name, view[name].join(','));
  if (!view.keys) to.set('keys', '0');
  written = `#${to.toString().replaceAll('%2C', ',')}`;
  history.replaceState(null, '', written === '#' ? location.pathname + location.search : written);
}

export function followAddress() {
  addEventListener('hashchange', () => { if (location.hash !== written) read(); });
}

// The time shown, (t0, t1] in ms.
export function range(model) {
  const last = model.last() ?? Date.now();
  if (view.zoom) return view.zoom;
  const first = (model.first() ?? last) - 1000;
  if (view.w === 'all') return [first, Math.max(last, first + 1000)];
  const span = WINDOWS[view.w] * 1000;
  const end = view.at ?? last;
  if (model.stats?.live === false) return [Math.max(end - span, first), Math.max(end, Math.min(first + span, last))];
  // A young proxy is not shown as an empty window with a sliver at its end.
  return [Math.max(end - span, Math.min(first, end - YOUNG_MS)), end];
}
