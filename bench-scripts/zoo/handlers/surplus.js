// surplus.js PORT: Node with a Content-Length counted in characters: two bytes more than announced.
const body = 'grün und weiß\n';
require('http').createServer((request, answer) => {
  answer.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length });
  answer.end(body);
}).listen(+process.argv[2], '127.0.0.1');
