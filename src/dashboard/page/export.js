// What is shown, as files. CSV cells a spreadsheet would take for a formula are made text.

import { h, announce } from './dom.js';

export function toCsv(rows) {
  const cell = (value) => {
    let words = value === null || value === undefined || value === '–' || Number.isNaN(value) ? '' : String(value);
    if (typeof value === 'string' && /^[=+\-@\t]/.test(words) && !/^-?[\d.,]+$/.test(words)) words = `'${words}`;
    return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  };
  return `${rows.map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}

export function download(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
  const link = h('a', { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  announce(`Saved ${name}`);
}

const iso = (t) => (t ? new Date(t).toISOString() : '');

export function secondsRows(app) {
  const { model, frame } = app;
  const shown = model.series.map((url, at) => [url, at]).filter(([, at]) => frame.series[at]?.seen);
  const names = ['requests', 'errors', 'in_flight', 'p50_ms', 'p95_ms', 'mean_ms', 'score'];
  const head = ['timestamp', 'requests', 'errors', 'retries', 'ejections', 'in_flight', 'mean_ms', 'p50_ms', 'p95_ms', 'p99_ms', 'overhead_us', ...shown.flatMap(([url]) => names.map((name) => `${url} ${name}`))];
  const rows = model.seconds.slice(frame.low, frame.high).map((second) => [iso(second.t), ...head.slice(1, 11).map((name) => second[name]),
    ...shown.flatMap(([, series]) => { const at = second.ids.indexOf(series); return names.map((name) => second.backends[at]?.[name]); })]);
  return [head, ...rows];
}

export function requestRows(app) {
  const urls = app.shown.stats.backends.map((backend) => backend.url);
  const head = ['timestamp', 'backend_url', 'latency_ms', 'status_code', 'method', 'path', 'attempts', 'reason', ...urls.flatMap((url) => [`${url} sma_ms`, `${url} ewma_ms`])];
  return [head, ...app.shown.requests.map((row) => [iso(row.t), urls[row.backend] ?? '', row.latency_ms, row.status, row.method, row.path, row.attempts, row.reason,
    ...urls.flatMap((_, at) => [row.averages?.[at]?.sma_ms, row.averages?.[at]?.ewma_ms])])];
}

export function backendRows(app) {
  const { backends } = app.shown.stats;
  const names = Object.keys(backends[0] ?? { url: '' }).filter((name) => name !== 'last_check');
  return [[...names, 'last_check'], ...backends.map((backend) => [...names.map((name) => backend[name]), backend.last_check?.text])];
}

export function everything(app) {
  const { shown, frame, model } = app;
  return JSON.stringify({ window: { from: iso(frame.t0), to: iso(frame.t1) }, stats: shown.stats, bounds_ms: model.bounds,
    seconds: model.seconds.slice(frame.low, frame.high).map(({ ids, ...second }) => ({ ...second, urls: ids.map((at) => model.series[at]) })),
    events: frame.events, requests: shown.requests, decisions: shown.decisions }, null, 1);
}

export function fillMenu(app, menu) {
  const item = (label, name, type, make) => h('button', { type: 'button', onclick: () => {
    if (!app.frame) return;
    download(`tidegate-${name}`, type, make(app));
    menu.parentElement.open = false;
    menu.parentElement.querySelector('summary').focus();
  } }, label);
  const csv = (rows) => (given) => toCsv(rows(given));
  menu.append(
    item('Seconds of this window (CSV)', 'seconds.csv', 'text/csv', csv(secondsRows)),
    item('Backends (CSV)', 'backends.csv', 'text/csv', csv(backendRows)),
    item('Latest requests (CSV)', 'requests.csv', 'text/csv', csv(requestRows)),
    item('Everything shown (JSON)', 'view.json', 'application/json', everything));
}
