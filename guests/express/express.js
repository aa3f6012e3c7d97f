// Express, as one writes it. The pages that are named here are those of expressjs.com/en/.
"use strict";
const express = require("express");
const http = require("http");
const { sleep, work } = require("./workloads.js");

const { ADDRESS, PORT, FILES } = process.env;
const app = express();
// advanced/best-practice-security.html: "Reduce server fingerprinting"
app.disable("x-powered-by");
// An entity tag for the answers that are computed would be a checksum of each of them. Our models send none there either, only with
// files, and so does express. 4x/api.html: "etag"
app.disable("etag");

const answer = (response) => (status, body) => response.status(status).type("text/plain").send(body);
app.get("/", (request, response) => answer(response)(200, "Hello World\n"));
// The files have no ending, and so no type of their own; without the second option, their path could name a directory.
// 4x/api.html: express.static
app.use("/files", express.static(FILES, { index: false, redirect: false }));
app.get("/sleep/:ms", (request, response) => sleep(request.params.ms, answer(response)));
app.get("/work/:iterations", (request, response) => work(request.params.iterations, answer(response)));

const server = http.createServer(app);
// As for node: see its server.js.
server.keepAliveTimeout = 0;
server.headersTimeout = 0;
server.requestTimeout = 0;
server.listen({ port: PORT, host: ADDRESS, backlog: 4096 });
