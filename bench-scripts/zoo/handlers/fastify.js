// fastify.js PORT LIMIT, with NODE_PATH where fastify is: the handler of the zoo.
const fastify = require('fastify')({ keepAliveTimeout: 1000 * process.argv[3] });
fastify.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => done(null, body));
fastify.all('/*', (request, reply) => reply.type('text/plain').send(`path=${request.url}\n`));
fastify.listen({ port: +process.argv[2], host: '127.0.0.1' });
