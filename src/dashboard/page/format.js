// Numbers and times as people read them. Unknown is a dash, never a zero.

export const DASH = '–';
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

// Three digits that matter.
export function number(value) {
  if (!known(value)) return DASH;
  const size = Math.abs(value);
  if (size >= 10000) return Math.round(value).toLocaleString('en-US');
  if (size >= 100 || value === Math.round(value)) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 10 ? 1 : size >= 0.995 ? 2 : 3);
}

export const count = (value) => (known(value) ? Math.round(value).toLocaleString('en-US') : DASH);

// `1 error`, `2 errors`; what does not just take an s is named.
export const many = (value, one, more = `${one}s`) => `${count(value)} ${Math.round(value) === 1 ? one : more}`;

export function compact(value) {
  if (!known(value)) return DASH;
  for (const [unit, size] of [['G', 1e9], ['M', 1e6], ['k', 1e4]]) if (Math.abs(value) >= size) return number(value / (unit === 'k' ? 1e3 : size)) + unit;
  return number(value);
}

export const percent = (share) => (known(share) ? `${share > 0.0005 && share < 0.1 ? (share * 100).toFixed(1) : (share * 100).toFixed(share >= 0.9995 || share === 0 ? 0 : 1)} %` : DASH);

// A latency with its unit; [number, unit] for those who show them apart.
export function latency(ms) {
  if (!known(ms)) return [DASH, ''];
  if (ms < 0.1) return [number(ms * 1000), 'µs'];
  if (ms >= 10000) return [number(ms / 1000), 's'];
  return [number(ms), 'ms'];
}
// The same for the ticks of an axis: as short as can be.
export function axisMs(value) {
  if (value === 0) return '0';
  return value >= 1000 ? `${Number((value / 1000).toPrecision(2))} s` : value >= 0.1 ? `${Number(value.toPrecision(2))} ms` : `${Number((value * 1000).toPrecision(2))} µs`;
}
export const ms = (value) => latency(value).filter(Boolean).join(' ');

// A latency known to lie between two: [low, high], the same when it is known.
function ends([low, high]) {
  const [a, unit] = low ? latency(low) : ['0', ''];
  const [b, of] = latency(high);
  return [unit && unit !== of ? `${a} ${unit}` : a, `${b} ${of}`];
}
export const spread = (found) => (!found ? DASH : found[0] === found[1] ? ms(found[1]) : `${ends(found).join(' – ')}`);
export const spreadInWords = (found) => (!found ? DASH : found[0] === found[1] ? ms(found[1]) : found[0] === 0 ? `at most ${ms(found[1])}` : `between ${ends(found).join(' and ')}`);

export function duration(seconds) {
  if (!known(seconds)) return DASH;
  const whole = Math.max(0, Math.round(seconds));
  const [d, hours, m, s] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (d) return `${d} d ${hours} h`;
  if (hours) return `${hours} h ${m} min`;
  if (m) return `${m} min ${s} s`;
  return `${s} s`;
}

const two = (value) => String(value).padStart(2, '0');
export function clock(t, fraction = false) {
  if (!known(t)) return DASH;
  const at = new Date(t);
  const seconds = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return fraction ? `${seconds}.${String(at.getMilliseconds()).padStart(3, '0')}` : seconds;
}
export function date(t) {
  const at = new Date(t);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

// `http://127.0.0.1:8081` -> `127.0.0.1:8081`.
export const host = (url) => String(url ?? DASH).replace(/^https?:\/\//, '').replace(/\/$/, '');

// As short as stays unambiguous: the port when all hosts are the same.
export function shortNames(urls) {
  const parts = urls.map((url) => /^(.*):(\d+)$/.exec(host(url)));
  const same = parts.every((part) => part && part[1] === parts[0][1]);
  const ports = parts.map((part) => part?.[2]);
  return urls.map((url, at) => (same && new Set(ports).size === urls.length ? ports[at] : host(url)));
}
