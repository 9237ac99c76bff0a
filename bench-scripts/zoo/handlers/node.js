// node.js PORT LIMIT: the handler of the zoo for Node's http.
const http = require('http');
const server = http.createServer((request, answer) => {
  const reply = () => {
    const body = `path=${request.url}\n`;
    answer.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
    answer.end(body);
  };
  if (request.method === 'POST') request.resume().on('end', reply); else reply();
});
server.keepAliveTimeout = 1000 * process.argv[3];
server.listen(+process.argv[2], '127.0.0.1');
