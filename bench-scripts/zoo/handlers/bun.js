// bun.js PORT LIMIT: the handler of the zoo for Bun.serve.
Bun.serve({
  hostname: '127.0.0.1',
  port: +process.argv[2],
  idleTimeout: +process.argv[3],
  async fetch(request) {
    if (request.method === 'POST') await request.arrayBuffer();
    return new Response(`path=${new URL(request.url).pathname}\n`);
  },
});
