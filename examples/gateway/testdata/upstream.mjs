// A service that knows nothing of keys: it answers with what it was sent, and
// prints the port that it listens on.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    const { method, url, rawHeaders, rawTrailers } = request;
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('X-RateLimit-Limit', 'of the service');
    response.end(JSON.stringify({ method, url, fields: [...rawHeaders, ...rawTrailers] }));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
