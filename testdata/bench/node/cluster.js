// An echo server with Node's cluster module, whose primary accepts and passes
// handles to the workers in turn.
//
// node cluster.js PORT WORKERS
const cluster = require('node:cluster');
const net = require('node:net');

cluster.schedulingPolicy = cluster.SCHED_RR;
if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.argv[3]); i++) cluster.fork();
} else {
  net.createServer({ noDelay: true }, (socket) => {
    socket.on('data', (data) => socket.write(data));
    socket.on('error', () => socket.destroy());
  }).listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
}
