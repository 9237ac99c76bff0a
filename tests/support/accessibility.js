// What can be checked by machine of the rules for accessible pages (WCAG 2.2, level AA). Gives a list of complaints.
(() => {
  const problems = [];
  const say = (rule, element) => problems.push(`${rule}: ${element.outerHTML.slice(0, 140)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const isShown = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
  const byIds = (ids) => ids.split(/\s+/).map((id) => document.getElementById(id));
  const nameOf = (element) => {
    const labelled = element.getAttribute('aria-labelledby');
    if (labelled) return byIds(labelled).map((one) => one?.textContent ?? '').join(' ').trim();
    if (element.getAttribute('aria-label')) return element.getAttribute('aria-label').trim();
    if (element.labels?.length) return [...element.labels].map((label) => label.textContent).join(' ').trim();
    return (element.textContent || element.getAttribute('title') || '').trim();
  };

  if (!document.documentElement.lang) problems.push('the page has no language');
  if (!document.title.trim()) problems.push('the page has no title');
  if (/user-scalable=no|maximum-scale/.test(document.querySelector('meta[name=viewport]')?.content ?? '')) problems.push('zoom is forbidden');

  const ids = all('[id]').map((element) => element.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) problems.push(`id used twice: ${id}`);
  for (const name of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for']) {
    for (const element of all(`[${name}]`)) if (byIds(element.getAttribute(name)).includes(null)) say(`${name} names nothing`, element);
  }

  for (const element of all('a[href], button, input, select, textarea, summary, [role=button], dialog[open], figure, nav, [role=group], [role=region], canvas[role=img]')) {
    if (isShown(element) && !nameOf(element)) say('has no name', element);
  }
  for (const element of all('canvas, svg')) if (!element.closest('[aria-hidden=true]') && element.getAttribute('role') !== 'img') say('picture neither named nor hidden', element);
  for (const element of all('img')) if (!element.hasAttribute('alt')) say('no alt', element);
  for (const element of all('[tabindex]')) if (element.tabIndex > 0) say('takes focus out of order', element);
  for (const element of all('[aria-hidden=true]')) if (element.querySelector('a[href], button, input, select, [tabindex="0"]')) say('hidden but can have focus', element);
  for (const element of all('[aria-sort]')) if (!['ascending', 'descending'].includes(element.getAttribute('aria-sort'))) say('aria-sort', element);
  for (const element of all('button button, a button, button a')) say('a control in a control', element);

  for (const [selector, many] of [['h1', 1], ['main', 1], ['body > header', 1], ['body > footer', 1]]) {
    if (all(selector).length !== many) problems.push(`${all(selector).length} of ${selector}`);
  }
  let level = 0;
  for (const heading of all('h1, h2, h3, h4, h5, h6').filter(isShown)) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) say(`heading after level ${level}`, heading);
    if (!heading.textContent.trim()) say('empty heading', heading);
    level = next;
  }
  for (const table of all('table').filter((one) => isShown(one) && !one.closest('[aria-hidden=true]'))) {
    if (!table.caption?.textContent.trim()) say('table without a caption', table);
    if (!table.querySelector('th')) say('table without headings', table);
    for (const cell of table.querySelectorAll('th')) if (!cell.scope) say('heading without a scope', cell);
  }
  for (const element of all('main *').filter(isShown)) {
    const style = getComputedStyle(element);
    const scrolls = (/auto|scroll/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1) || (/auto|scroll/.test(style.overflowY) && element.scrollHeight > element.clientHeight + 1);
    if (scrolls && element.tabIndex < 0 && !element.querySelector('button, a[href], input, [tabindex="0"]')) say('scrolls, but not by keyboard', element);
  }
  for (const element of all('button, summary, input, select').filter((one) => isShown(one) && !one.closest('[aria-hidden=true]'))) {
    const box = element.getBoundingClientRect();
    if (element.type !== 'checkbox' && element.type !== 'range' && (box.height < 23.5 || box.width < 23.5)) say(`small target ${box.width}x${box.height}`, element);
  }

  // Contrast of every visible piece of text with what is painted behind it.
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((at) => top[at] * top[3] + under[at] * (1 - top[3])).concat(1);
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const light = (colour) => colour.slice(0, 3).map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)).reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(element) || !isShown(element) || element.closest('.sr, script, noscript, :disabled')) continue;
    seen.add(element);
    const style = getComputedStyle(element);
    const behind = ground(element);
    const front = over(rgba(style.color), behind);
    const [a, b] = [light(front), light(behind)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < least) say(`contrast ${ratio.toFixed(2)}`, element);
  }
  if (seen.size < 50) problems.push(`only ${seen.size} pieces of text were looked at`);
  return problems;
})()
