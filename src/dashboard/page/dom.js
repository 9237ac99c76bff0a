// Making and filling elements. Text goes in as text, never as markup: a path a stranger asked for is on this page.

export const $ = (id) => document.getElementById(id);

// h('td', {class: 'l', 'aria-label': 'x', onclick: f}, 'text', otherElement, null)
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children) if (child !== null && child !== undefined) element.append(child);
  return element;
}

// Writes only what differs, so that a selection by mouse survives a second and nothing is laid out in vain.
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function announce(message) {
  const region = $('announce');
  region.textContent = '';
  requestAnimationFrame(() => { region.textContent = message; });
}

// A table in a box that scrolls by itself and can be reached by keyboard.
export function tableBox(label, headings, rows = []) {
  const head = h('tr', {}, ...headings.map(([name, left]) => h('th', { scope: 'col', class: left ? 'l' : null }, name)));
  const body = h('tbody');
  const box = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label },
    h('table', {}, h('caption', { class: 'sr' }, label), h('thead', {}, head), body));
  fillRows(body, headings, rows);
  return box;
}

export function fillRows(body, headings, rows) {
  body.replaceChildren(...rows.map((row) => h('tr', {}, ...row.map((cell, at) =>
    h(at === 0 ? 'th' : 'td', { scope: at === 0 ? 'row' : null, class: headings[at]?.[1] ? 'l' : null }, cell)))));
}

// Whether it is worth drawing: on the screen or about to be, or all of it on paper.
export const paper = { wanted: false };
export function isNear(element) {
  if (paper.wanted) return true;
  const box = element.getBoundingClientRect();
  return box.bottom > -400 && box.top < innerHeight + 400;
}
