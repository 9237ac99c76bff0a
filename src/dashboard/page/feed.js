// The wire: JSON by fetch, and server-sent events by fetch too, since EventSource cannot send an Authorization header.
// A lost feed is taken up again, and what was missed is asked for by sequence number.

const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 15000;
const SILENCE_MS = 40000; // the server says something every 15 s

export const token = {
  get: () => { try { return sessionStorage.getItem('tidegate-token') ?? ''; } catch { return ''; } },
  set: (value) => { try { if (value) sessionStorage.setItem('tidegate-token', value); else sessionStorage.removeItem('tidegate-token'); } catch { /* private mode: asked again next time */ } },
};

export function request(path, options = {}) {
  const headers = { ...options.headers };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  return fetch(path, { cache: 'no-store', ...options, headers });
}

export async function json(path) {
  const answer = await request(path);
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${answer.status}`), { status: answer.status });
  return answer.json();
}

export class Feed {
  // on: {state(name, detail), loaded(), second(data), refused()}
  constructor(model, on) {
    this.model = model;
    this.on = on;
    this.wait = RETRY_MS_MIN;
  }

  async run() {
    for (;;) {
      try {
        await this.load();
        if (this.model.stats.live === false) return this.on.state('finished');
        await this.listen();
        this.on.state('lost');
      } catch (error) {
        if (error.status === 401 || error.status === 403) await this.on.refused(error.status);
        this.on.state('lost', error.message);
      }
      await sleep(this.wait);
      this.wait = Math.min(this.wait * 2, RETRY_MS_MAX);
    }
  }

  // Everything up to now that is not known yet.
  async load() {
    this.model.setStats(await json('api/stats'));
    const [history, requests, log] = await Promise.all([
      json(`api/history?since=${this.model.lastSeq}`), json('api/requests'), json('api/log'), this.decisions()]);
    this.model.addHistory(history);
    this.model.addRequests(requests.requests);
    this.model.addEvents(log.events);
    this.model.loaded = true;
    this.on.loaded();
  }

  async decisions() {
    try { this.model.setDecisions(await json('api/decisions')); } catch (error) { if (error.status !== 404) throw error; }
  }

  async listen() {
    const stop = new AbortController();
    let alarm;
    const heard = () => { clearTimeout(alarm); alarm = setTimeout(() => stop.abort(), SILENCE_MS); };
    heard();
    try {
      const answer = await request('api/events', { signal: stop.signal, headers: { Accept: 'text/event-stream' } });
      if (!answer.ok) throw Object.assign(new Error(`events: ${answer.status}`), { status: answer.status });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let left = ''; ;) {
        const { done, value } = await reader.read();
        if (done) return;
        heard();
        left = await this.take(left + value.replaceAll('\r', ''));
      }
    } finally {
      clearTimeout(alarm);
      stop.abort();
    }
  }

  // Handles whole messages and returns the rest.
  async take(textSoFar) {
    const messages = textSoFar.split('\n\n');
    const rest = messages.pop();
    for (const message of messages) {
      let [name, data] = ['message', ''];
      for (const line of message.split('\n')) {
        if (line.startsWith('event:')) name = line.slice(6).trim();
        if (line.startsWith('data:')) data += line.slice(5).trimStart();
      }
      if (data) await this.handle(name, JSON.parse(data));
    }
    return rest;
  }

  async handle(name, data) {
    this.wait = RETRY_MS_MIN;
    const other = this.model.setStats(data.stats);
    if (name === 'hello') {
      this.on.state('live');
      // Also when the process is another one: then everything is new.
      if (other || data.seq > this.model.lastSeq) await this.load();
    }
    if (name !== 'second') return;
    if (other || data.second.seq > this.model.lastSeq + 1) await this.load();
    this.model.addSecond(data.second);
    this.model.addEvents(data.events);
    this.model.addRequests(data.requests);
    this.on.second();
  }
}

const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });
