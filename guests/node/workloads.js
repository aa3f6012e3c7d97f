// The workloads that take time, for node and express: the same answers as our models give.
"use strict";
const MAX_SLEEP = 60000;
const MAX_WORK = 1000000000;

// A whole number from 0 to max, or undefined.
function number(digits, max) {
  const value = /^\d+$/.test(digits) ? Number(digits) : Infinity;
  return value <= max ? value : undefined;
}

// Marsaglia's xorshift64. The two halves of its 64 bits are numbers of 32 bits each, which node computes with in registers. (With
// BigInt the text is shorter, and a step takes memory.)
function xorshift(iterations) {
  let high = 0x9e3779b9 | 0;
  let low = 0x7f4a7c15 | 0;
  for (let i = 0; i < iterations; i++) {
    high ^= (high << 13) | (low >>> 19);
    low ^= low << 13;
    low ^= (low >>> 7) | (high << 25);
    high ^= high >>> 7;
    high ^= (high << 17) | (low >>> 15);
    low ^= low << 17;
  }
  return [high, low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
}

// Calls done(status, text) after so many milliseconds.
exports.sleep = (digits, done) => {
  const ms = number(digits, MAX_SLEEP);
  if (ms === undefined) {
    return done(400, "400 Bad Request: expected /sleep/<ms>: whole milliseconds from 0 to 60000\n");
  }
  setTimeout(done, ms, 200, `slept ${ms} ms\n`);
};

// Calls done(status, text) after so many steps. The event loop does nothing else meanwhile: that is node's model.
exports.work = (digits, done) => {
  const iterations = number(digits, MAX_WORK);
  if (iterations === undefined) {
    return done(400, "400 Bad Request: expected /work/<iterations>: a whole number from 0 to 1000000000\n");
  }
  done(200, `${xorshift(iterations)}\n`);
};
