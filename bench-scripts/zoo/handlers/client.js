// client.js PORT: Node as a client, http with an agent and fetch. Says `name=right` or `name=wrong ...`, a line each.
const http = require('http');
const base = `http://127.0.0.1:${process.argv[2]}`;
const agent = new http.Agent({ keepAlive: true, maxSockets: 5 });
const say = (name, good, more = '') => console.log(`${name}=${good ? 'right' : 'wrong ' + more}`);

const ask = (method, path, body, headers = {}) => new Promise((done, failed) => {
  const request = http.request(base + path, { method, agent, headers }, (answer) => {
    let text = '';
    answer.on('data', (part) => { text += part; }).on('end', () => done({ status: answer.statusCode, text, continued })).on('error', failed);
  });
  let continued = false;
  request.on('error', failed);
  if (headers.Expect) request.on('continue', () => { continued = true; request.end(body); }); else request.end(body);
});

const tests = {
  '100_GETs_by_5': async () => (await Promise.all([...Array(100).keys()].map((n) => ask('GET', `/p/${n}`)))).every((a, n) => a.text === `path=/p/${n}\n`),
  HEAD: async () => { const a = await ask('HEAD', '/p/1'); return a.status === 200 && a.text === ''; },
  'Expect_100': async () => { const a = await ask('POST', '/sum', 'x'.repeat(1e6), { Expect: '100-continue', 'Content-Length': 1e6 }); return a.continued && a.text.startsWith('1000000 '); },
  chunked_POST: async () => (await ask('POST', '/sum', 'x'.repeat(1e6), { 'Transfer-Encoding': 'chunked' })).text.startsWith('1000000 '),
  fetch_5MB: async () => (await (await fetch(`${base}/big`)).arrayBuffer()).byteLength === 5e6,
  fetch_stream: async () => {
    const body = new ReadableStream({ start(c) { for (let n = 0; n < 50; n++) c.enqueue(new Uint8Array(10000)); c.close(); } });
    return (await (await fetch(`${base}/sum`, { method: 'POST', body, duplex: 'half' })).text()).startsWith('500000 ');
  },
  fetch_redirect: async () => (await (await fetch(`${base}/hop`)).text()) === 'path=/p/1\n',
  fetch_events: async () => (await (await fetch(`${base}/events`)).text()).split('data:').length === 6,
  'early_413': async () => (await ask('POST', '/early', Buffer.alloc(30e6))).status === 413,
  'early_413_close': async () => (await ask('POST', '/early-close', Buffer.alloc(30e6))).status === 413,
  after: async () => (await ask('GET', '/p/7')).text === 'path=/p/7\n',
};

(async () => {
  for (const [name, test] of Object.entries(tests)) {
    try { say(name, await test()); } catch (error) { say(name, false, error.cause ? `${error} ${error.cause}` : `${error}`); }
  }
  agent.destroy();
})();
