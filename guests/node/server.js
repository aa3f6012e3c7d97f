// node's module http. The pages that are named here are those of nodejs.org/api/.
"use strict";
const fs = require("fs");
const http = require("http");
const { sleep, work } = require("./workloads.js");

const { ADDRESS, PORT, FILES } = process.env;
// A larger file is not read as a whole, so that a few clients cannot fill the memory.
const WHOLE = 1 << 20;

// All answers have a Content-Length: without it, node would send chunks, which cost more. http.html: response.writeHead
function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "text/plain", "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

// For 1k, reading a file as a whole took a third of the CPU time that a stream took, and half for 1m. fs.html: fs.readFile,
// fs.createReadStream
function file(response, name) {
  const path = `${FILES}/${name}`;
  fs.stat(path, (error, stat) => {
    if (error || !stat.isFile()) {
      return answer(response, 404, "404 Not Found\n");
    }
    if (stat.size > WHOLE) {
      response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": stat.size });
      const stream = fs.createReadStream(path);
      stream.on("error", () => response.destroy());
      response.on("close", () => stream.destroy());
      return stream.pipe(response);
    }
    fs.readFile(path, (error, body) => (error ? answer(response, 404, "404 Not Found\n") : answer(response, 200, body)));
  });
}

const server = http.createServer((request, response) => {
  if (request.url === "/") {
    response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": 12 });
    return response.end("Hello World\n");
  }
  const [, what, argument] = /^\/(files|sleep|work)\/([\w.-]+)$/.exec(request.url) || [];
  const done = (status, body) => answer(response, status, body);
  switch (what) {
    case "files":
      return file(response, argument);
    case "sleep":
      return sleep(argument, done);
    case "work":
      return work(argument, done);
    default:
      return done(404, "404 Not Found\n");
  }
});
// A connection that waits must stay open: after its requests (5 s by default), and before the first (60 s). 0 means for ever, and no
// timer for each request, which took 3 of 36 µs. http.html: server.keepAliveTimeout, server.headersTimeout, server.requestTimeout
server.keepAliveTimeout = 0;
server.headersTimeout = 0;
server.requestTimeout = 0;
// 511 connections could wait to be accepted by default. net.html: server.listen
server.listen({ port: PORT, host: ADDRESS, backlog: 4096 });
