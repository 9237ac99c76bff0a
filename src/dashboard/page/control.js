// Buttons that change something. They exist only when the proxy allows it, and every one asks first and wants the
// operator's token, which stays in this tab.

import { h, $, announce } from './dom.js';
import { request, token } from './feed.js';
import { host } from './format.js';

export const ROUTINGS = ['elastic', 'elastic:tail', 'least-time', 'least-time:sma', 'peak-ewma', 'p2c', 'least-connections', 'round-robin', 'random', 'adaptive_sma', 'adaptive_ewma'];

async function send(action, body) {
  const answer = await request(`api/control/${action}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.error ?? `the proxy answered ${answer.status}`), { status: answer.status });
  return said.done ?? 'done';
}

// A dialog with what will happen, the fields it needs and the token. Resolves when it is closed.
export function ask({ title, words, fields = [], verb, run }) {
  const dialog = $('control-dialog');
  const problem = h('p', { class: 'bad', role: 'alert' });
  const inputs = fields.map(({ label, ...attributes }) => [attributes.name, h('label', {}, label, h('input', { class: 'field', required: true, ...attributes }))]);
  const secret = h('input', { class: 'field', type: 'password', id: 'token', autocomplete: 'off', required: true });
  secret.value = token.get();
  const go = h('button', { type: 'submit', class: 'primary' }, verb);
  const form = h('form', { class: 'stack', method: 'dialog' }, h('h2', { id: 'control-h' }, title), h('p', {}, words), ...inputs.map(([, input]) => input), h('label', { for: 'token' }, 'Token (kept in this tab only)', secret), problem,
    h('div', { class: 'ends' }, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'), go));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    token.set(secret.value);
    go.disabled = true;
    problem.textContent = '';
    try {
      const done = await run(Object.fromEntries(inputs.map(([name, label]) => [name, label.querySelector('input').value])));
      dialog.close();
      announce(done);
      notice(done);
    } catch (error) {
      if (error.status === 401) token.set('');
      problem.textContent = error.message;
    }
    go.disabled = false;
  });
  dialog.replaceChildren(form);
  dialog.setAttribute('aria-labelledby', 'control-h');
  dialog.showModal();
  (inputs[0]?.[1].querySelector('input') ?? (secret.value ? go : secret)).focus();
  return new Promise((closed) => { dialog.addEventListener('close', () => closed(), { once: true }); });
}

let hide;
export function notice(words, lasting = false) {
  const box = $('notice');
  clearTimeout(hide);
  box.hidden = !words;
  box.textContent = words;
  if (!lasting && words) hide = setTimeout(() => { box.hidden = true; }, 8000);
}

// The buttons of one backend's row.
export function actions(app, url) {
  const name = host(url);
  const button = (label, handler) => h('button', { type: 'button', class: 'quiet', onclick: handler, 'aria-label': `${label} ${name}` }, label);
  let [away, weighs] = [false, 1];
  const drain = button('Drain', () => ask(away
    ? { title: `Enable ${name}?`, words: 'It gets requests again.', verb: 'Enable', run: () => send('enable', { backend: url }) }
    : { title: `Drain ${name}?`, words: 'It gets no new requests; those under way end as usual.', verb: 'Drain', run: () => send('drain', { backend: url }) }));
  const weight = button('Weight', () => ask({ title: `Weight of ${name}`, words: 'Twice the weight, about twice the requests.', fields: [{ label: 'Weight', name: 'weight', type: 'number', min: '0.001', max: '1000', step: 'any', value: String(weighs) }], verb: 'Set', run: ({ weight: value }) => send('weight', { backend: url, weight: Number(value) }) }));
  const delay = button('Delay', () => ask({ title: `Slow ${name} down`, words: 'Adds this to every answer of the emulated backend; 0 ends it.', fields: [{ label: 'Milliseconds', name: 'delay_ms', type: 'number', min: '0', max: '60000', value: '200' }], verb: 'Inject', run: ({ delay_ms: value }) => send('delay', { backend: url, delay_ms: Number(value) }) }));
  delay.hidden = !app.shown.stats.demo;
  return {
    element: h('span', {}, drain, weight, delay),
    update(backend) {
      away = backend.state === 'draining';
      weighs = backend.weight ?? 1;
      const label = away ? 'Enable' : 'Drain';
      if (drain.textContent !== label) { drain.textContent = label; drain.setAttribute('aria-label', `${label} ${name}`); }
    },
  };
}

export class RoutingControl {
  constructor(app) {
    this.app = app;
    this.select = h('select', { class: 'field', id: 'routing' });
    this.box = h('p', { class: 'tools', hidden: true }, h('label', { for: 'routing' }, 'Routing', this.select), h('button', { type: 'button', onclick: () => this.change() }, 'Switch'));
    $('routing-control').append(this.box);
  }

  change() {
    const routing = this.select.value;
    ask({ title: `Switch to ${routing}?`, words: `New requests are routed by ${routing} instead of ${this.app.shown.stats.routing}. It learns from nothing, which takes some seconds.`, verb: 'Switch', run: () => send('routing', { routing }) });
  }

  update() {
    const { stats } = this.app.shown;
    this.box.hidden = !stats.control;
    if (this.box.hidden || this.known === stats.routing) return;
    this.known = stats.routing;
    const names = stats.routings ?? (ROUTINGS.includes(stats.routing) ? ROUTINGS : [stats.routing, ...ROUTINGS]);
    this.select.replaceChildren(...names.map((name) => h('option', { value: name }, name)));
    this.select.value = stats.routing;
  }
}

// The page itself wants a token: the address is not loopback.
export function askToRead() {
  return ask({ title: 'A token, please', words: 'This proxy shows its figures only to those who have its token.', verb: 'Continue', run: async () => {
    const answer = await request('api/stats');
    if (!answer.ok) throw Object.assign(new Error('This token is not the one.'), { status: answer.status });
    return 'Connected';
  } });
}
