// How a backend looks: a colour, a dash, a marker and a texture, so that no meaning hangs on colour alone.
// The pair (colour, dash) repeats after 64 backends, the most a proxy is expected to have.

const DASHES = [[], [7, 3], [2, 2], [10, 3, 2, 3], [5, 5], [12, 3, 4, 3], [2, 4], [9, 2, 2, 2, 2, 2]];
let theme = {};

// Reads the theme's colours again; canvases cannot use CSS variables.
export function refresh() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  theme = Object.fromEntries(['paper', 'card', 'ink', 'soft', 'line', 'grid', 'accent', 'good', 'bad', 'warn'].map((name) => [name, read(name)]));
  theme.series = Array.from({ length: 8 }, (_, at) => read(`c${at}`));
  theme.heat = ramp(Array.from({ length: 5 }, (_, at) => read(`h${at}`)));
  textures.clear();
}
export const colours = () => theme;
export const colour = (index) => theme.series[index % 8];
export const dash = (index) => DASHES[(index + Math.floor(index / 8)) % 8];

function ramp(stops) {
  const rgb = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return Array.from({ length: 256 }, (_, at) => {
    const place = (at / 255) * (rgb.length - 1);
    const low = Math.min(Math.floor(place), rgb.length - 2);
    return `rgb(${rgb[low].map((from, channel) => Math.round(from + (rgb[low + 1][channel] - from) * (place - low))).join(' ')})`;
  });
}

// A marker centred on x, y.
export function mark(ctx, index, x, y, r) {
  ctx.beginPath();
  switch (index % 8) {
    case 0: ctx.arc(x, y, r, 0, 7); break;
    case 1: ctx.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8); break;
    case 2: polygon(ctx, x, y, r * 1.25, 3, -Math.PI / 2); break;
    case 3: polygon(ctx, x, y, r * 1.25, 4, 0); break;
    case 4: polygon(ctx, x, y, r * 1.25, 3, Math.PI / 2); break;
    case 5: polygon(ctx, x, y, r * 1.15, 5, -Math.PI / 2); break;
    case 6: ctx.rect(x - r * 1.2, y - r * 0.45, r * 2.4, r * 0.9); ctx.rect(x - r * 0.45, y - r * 1.2, r * 0.9, r * 2.4); break;
    default: polygon(ctx, x, y, r * 1.15, 6, 0);
  }
  ctx.fill();
}
function polygon(ctx, x, y, r, corners, turn) {
  for (let at = 0; at < corners; at++) ctx.lineTo(x + r * Math.cos(turn + (at * 2 * Math.PI) / corners), y + r * Math.sin(turn + (at * 2 * Math.PI) / corners));
  ctx.closePath();
}

const textures = new Map();
// A fill for areas: the colour, and from the second backend on thin strokes in the card's colour.
export function texture(ctx, index) {
  const kind = (index + Math.floor(index / 8)) % 8;
  const key = `${index % 8}/${kind}`;
  if (!textures.has(key)) {
    const size = 8;
    const tile = document.createElement('canvas');
    tile.width = tile.height = size;
    const pen = tile.getContext('2d');
    pen.fillStyle = colour(index);
    pen.fillRect(0, 0, size, size);
    pen.strokeStyle = pen.fillStyle = theme.card;
    pen.globalAlpha = 0.3;
    pen.beginPath();
    const line = (a, b, c, d) => { pen.moveTo(a, b); pen.lineTo(c, d); };
    if (kind === 1 || kind === 6) { line(-2, 10, 10, -2); line(-2, 2, 2, -2); line(6, 10, 10, 6); }
    if (kind === 3 || kind === 6) { line(-2, -2, 10, 10); line(6, -2, 10, 2); line(-2, 6, 2, 10); }
    if (kind === 4 || kind === 7) line(0, 4, 8, 4);
    if (kind === 5 || kind === 7) line(4, 0, 4, 8);
    pen.stroke();
    if (kind === 2) { pen.fillRect(1, 1, 2, 2); pen.fillRect(5, 5, 2, 2); }
    textures.set(key, tile);
  }
  return ctx.createPattern(textures.get(key), 'repeat');
}

// The little line with its marker that stands for a backend in legends and tables.
export function swatch(index) {
  const canvas = document.createElement('canvas');
  canvas.setAttribute('aria-hidden', 'true');
  canvas.dataset.series = index;
  paintSwatch(canvas);
  return canvas;
}
// The same for what is drawn as an area: a patch of its texture.
export function patch(index) {
  const canvas = swatch(index);
  canvas.dataset.patch = '1';
  paintSwatch(canvas);
  return canvas;
}
export function paintSwatch(canvas) {
  const index = Number(canvas.dataset.series);
  const scale = devicePixelRatio || 1;
  canvas.width = 30 * scale;
  canvas.height = 14 * scale;
  const ctx = canvas.getContext('2d');
  ctx.scale(scale, scale);
  if (canvas.dataset.patch) {
    ctx.fillStyle = texture(ctx, index);
    ctx.fillRect(0, 1, 30, 12);
    return;
  }
  ctx.strokeStyle = ctx.fillStyle = colour(index);
  ctx.lineWidth = 2;
  ctx.setLineDash(dash(index));
  ctx.beginPath();
  ctx.moveTo(0, 7);
  ctx.lineTo(30, 7);
  ctx.stroke();
  mark(ctx, index, 15, 7, 4);
}
export function repaintSwatches() {
  for (const canvas of document.querySelectorAll('canvas[data-series]')) paintSwatch(canvas);
}
